"""The LLVM text of the thread pool: how workers wait for programs, and how a program reaches them."""

from __future__ import annotations

from ranvier.engines.native.runtime import threads

# A worker's box is a cache line of 64-bit words: its state, what it is to run, and the system's yield.
STATE, ENTRY, TID, N, CTX, YIELD, PROCESSORS = range(7)
# What ``each`` is given: the entry, the first context, their number, the bytes between two, and a barrier's block.
OF, CONTEXTS, COUNT, BYTES, SYNC = range(5)
ASLEEP, LINGERING, BUSY, HELD = range(4)  # states
APART = 128  # bytes from box to box: processors fetch cache lines in pairs


def pool_ir(arch: str) -> str:
    """LLVM text of the functions that run an entry on several threads. ``boxes`` are the addresses of the boxes of
    ``n - 1`` workers, numbered from 1.

    - ``serve(box, patience)`` is a worker's loop: it runs what its box says, then lingers (spins) for ``patience``
      rounds, and returns when the worker may sleep.
    - ``launch(entry, n, ctx, boxes)`` runs an entry on all threads if every worker lingers, and returns 1 when all
      have ended; otherwise it does nothing and returns 0.
    - ``post`` gives the entry to workers in any state. ``finish`` runs the caller's part and waits for the others.
      Sleeping workers must be woken between the two.
    - ``ask(entry, ctx, box)`` has a worker run an entry alone, and returns 1 at once; 0 if the worker does not linger.
    - ``each`` is an entry that runs another one over a series of contexts.
    """
    pause = threads.pause_ir(arch)

    def word(box: str, index: int, name: str) -> str:
        return f"%{name} = getelementptr i64, ptr {box}, i64 {index}"

    def stores(box: str, tid: str, n: str) -> str:
        """Store in a box what its worker is to run."""
        values = (ENTRY, "e", "ptr %entry"), (TID, "t", f"i64 {tid}"), (N, "k", f"i64 {n}"), (CTX, "c", "ptr %ctx")
        lines = (f"{word(box, index, at)}\n  store {value}, ptr %{at}, align 8" for index, at, value in values)
        return "\n  ".join(lines)

    def loads(box: str, *values: tuple[int, str, str, str]) -> str:
        """Load words of a box or of a series: (word, name of its address, type, name) of each."""
        lines = (
            f"{word(box, index, at)}\n  %{name} = load {type_}, ptr %{at}, align 8" for index, at, type_, name in values
        )
        return "\n  ".join(lines)

    def over(name: str, before: str, after: str, body: str, *, i: str = "%i") -> str:
        """A loop over the workers' boxes, from block ``before`` to block ``after``."""
        more = f"%{name}.more"
        return f"""
  br label %{name}
{name}:
  {i} = phi i64 [ 0, %{before} ], [ {i}1, %{name}.next ]
  {more} = icmp ult i64 {i}, %others
  br i1 {more}, label %{name}.do, label %{after}
{name}.do:
  %{name}.at = getelementptr ptr, ptr %boxes, i64 {i}
  %{name}.box = load ptr, ptr %{name}.at, align 8
  {i}1 = add i64 {i}, 1
{body}
{name}.next:
  br label %{name}
"""

    wait = f"""
  br label %watch
watch:
  %round = phi i64 [ 0, %wait.do ], [ %round1, %spin ], [ %round1, %give ]
  %state = load atomic i64, ptr %wait.box acquire, align 8
  %busy = icmp eq i64 %state, {BUSY}
  br i1 %busy, label %again, label %wait.next
again:
  %round1 = add i64 %round, 1
  %patient = icmp ult i64 %round1, {threads.ROUNDS}
  br i1 %patient, label %spin, label %tired
tired:
  {word("%wait.box", YIELD, "yield.at")}
{threads.yield_ir(arch, "%yield.at")}
"""
    finish = "call void @finish(ptr %entry, i64 %n, ptr %ctx, ptr %boxes)"
    post = f"""
  br label %asked
asked:
  %errand = load atomic i64, ptr %post.box acquire, align 8
  %away = icmp eq i64 %errand, {BUSY}
  br i1 %away, label %back, label %fill
back:
  {pause.call}
  br label %asked
fill:
  {stores("%post.box", "%i1", "%n")}
  %was = atomicrmw xchg ptr %post.box, i64 {BUSY} acq_rel, align 8
  br label %post.next"""
    hold = f"""
  %pair = cmpxchg ptr %hold.box, i64 {LINGERING}, i64 {HELD} acq_rel monotonic, align 8
  %held = extractvalue {{ i64, i1 }} %pair, 1
  br i1 %held, label %hold.next, label %undo.start"""
    undo = f"""
  %before = icmp ult i64 %u, %i
  br i1 %before, label %undo.free, label %undo.next
undo.free:
  store atomic i64 {LINGERING}, ptr %undo.box release, align 8
  br label %undo.next"""
    arguments = "ptr %entry, i64 %n, ptr %ctx, ptr %boxes"
    return f"""{threads.barrier_ir(arch)}
define void @serve(ptr %box, i64 %patience) nounwind {{
start:
  %woken = cmpxchg ptr %box, i64 {ASLEEP}, i64 {LINGERING} acq_rel monotonic, align 8
  br label %watch
watch:
  %round = phi i64 [ 0, %start ], [ 0, %run ], [ %round, %hold ], [ %round1, %linger ]
  %limit = phi i64 [ %patience, %start ], [ %limit1, %run ], [ %limit, %hold ], [ %limit, %linger ]
  %state = load atomic i64, ptr %box acquire, align 8
  switch i64 %state, label %idle [ i64 {BUSY}, label %run
                                   i64 {HELD}, label %hold ]
run:
  {loads("%box", (ENTRY, "e", "ptr", "entry"), (TID, "t", "i64", "tid"))}
  {loads("%box", (N, "k", "i64", "n"), (CTX, "c", "ptr", "ctx"))}
  call void %entry(i64 %tid, i64 %n, ptr %ctx)
  {loads("%box", (PROCESSORS, "p", "i64", "processors"))}
  %crowded = icmp ugt i64 %n, %processors
  %limit1 = select i1 %crowded, i64 0, i64 %patience
  store atomic i64 {LINGERING}, ptr %box release, align 8
  br label %watch
hold:
  {pause.call}
  br label %watch
idle:
  %round1 = add i64 %round, 1
  %patient = icmp ult i64 %round1, %limit
  br i1 %patient, label %linger, label %leave
linger:
  {pause.call}
  br label %watch
leave:
  %pair = cmpxchg ptr %box, i64 {LINGERING}, i64 {ASLEEP} acq_rel monotonic, align 8
  %asleep = extractvalue {{ i64, i1 }} %pair, 1
  br i1 %asleep, label %done, label %linger
done:
  ret void
}}
define void @post({arguments}) nounwind {{
start:
  %others = sub i64 %n, 1
{over("post", "start", "done", post)}
done:
  ret void
}}
define void @finish({arguments}) nounwind {{
start:
  call void %entry(i64 0, i64 %n, ptr %ctx)
  %others = sub i64 %n, 1
{over("wait", "start", "done", wait)}
done:
  ret void
}}
define i64 @launch({arguments}) nounwind {{
start:
  %others = sub i64 %n, 1
{over("hold", "start", "go", hold)}
undo.start:
{over("undo", "undo.start", "refused", undo, i="%u")}
refused:
  ret i64 0
go:
  call void @post({arguments})
  {finish}
  ret i64 1
}}
define i64 @ask(ptr %entry, ptr %ctx, ptr %box) nounwind {{
start:
  %pair = cmpxchg ptr %box, i64 {LINGERING}, i64 {HELD} acq_rel monotonic, align 8
  %held = extractvalue {{ i64, i1 }} %pair, 1
  br i1 %held, label %go, label %refused
refused:
  ret i64 0
go:
  {stores("%box", "0", "1")}
  store atomic i64 {BUSY}, ptr %box release, align 8
  ret i64 1
}}
define void @each(i64 %tid, i64 %n, ptr %series) nounwind {{
start:
  {loads("%series", (OF, "e", "ptr", "entry"), (CONTEXTS, "c", "ptr", "contexts"), (COUNT, "k", "i64", "count"))}
  {loads("%series", (BYTES, "b", "i64", "bytes"), (SYNC, "m", "ptr", "sync"))}
  br label %more
more:
  %i = phi i64 [ 0, %start ], [ %i1, %one ]
  %left = icmp ult i64 %i, %count
  br i1 %left, label %one, label %done
one:
  %at = mul i64 %i, %bytes
  %ctx = getelementptr i8, ptr %contexts, i64 %at
  call void %entry(i64 %tid, i64 %n, ptr %ctx)
  call void @rv.barrier(ptr %sync, i64 %n)
  %i1 = add i64 %i, 1
  br label %more
done:
  ret void
}}
"""
