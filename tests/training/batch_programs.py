"""Programs whose networks or losses compute with the number of rows of a batch, in PyTorch's words.

Each is a function of PyTorch's modules, or of ours, which returns a network and a loss of (output, target).
"""

from typing import Any

import numpy as np

RNG = np.random.default_rng(0)
PROGRAMS: dict[str, tuple[Any, Any, Any]] = {}
N = 10  # rows, which batches of four do not divide


def f(*shape: int) -> Any:
    return RNG.normal(size=shape).astype("float32")


def i(high: int, *shape: int) -> Any:
    return RNG.integers(0, high, size=shape)


def net(nn: Any, forward: Any, **parts: Any) -> Any:
    """A module of either library with these parts, and with the function as its method."""
    made = type("Net", (nn.Module,), {"forward": forward})()
    for name, part in parts.items():
        setattr(made, name, part)
    return made


def prog(x: Any, y: Any) -> Any:
    def note(program: Any) -> Any:
        PROGRAMS[program.__name__] = (program, x, y)
        return program

    return note


@prog(f(N, 5, 3), f(N, 5, 2))
def timedist(torch: Any, nn: Any, F: Any) -> Any:
    def forward(self, x):
        B, L, C = x.shape
        return self.l(x.view(B * L, C)).view(B, L, -1)

    return (net(nn, forward, l=nn.Linear(3, 2)), F.mse_loss)


@prog(f(N, 5, 3), f(N, 5, 2))
def minus_one(torch: Any, nn: Any, F: Any) -> Any:
    def forward(self, x):
        h = self.bn(x.reshape(-1, x.shape[-1]))
        return self.l(h).reshape(*x.shape[:-1], 2)

    return (net(nn, forward, l=nn.Linear(3, 2), bn=nn.BatchNorm1d(3)), F.mse_loss)


@prog(f(N, 3, 1, 6, 6), i(4, N))
def cnn_lstm(torch: Any, nn: Any, F: Any) -> Any:
    def forward(self, x):
        B, L, C, H, W = x.size()
        z = F.relu(self.c(x.reshape(B * L, C, H, W))).mean((2, 3))
        z, _ = self.r(z.reshape(B, L, -1))
        return self.h(z[:, -1])

    return (
        net(nn, forward, c=nn.Conv2d(1, 2, 3), r=nn.LSTM(2, 4, batch_first=True), h=nn.Linear(4, 4)),
        F.cross_entropy,
    )


@prog(f(N, 2, 4, 4), f(N, 2, 4, 4))
def vqvae(torch: Any, nn: Any, F: Any) -> Any:
    def forward(self, x):
        z = self.e(x).permute(0, 2, 3, 1).contiguous()
        flat = z.view(-1, 3)
        d = (flat**2).sum(1, keepdim=True) + (self.cb.weight**2).sum(1) - 2 * torch.matmul(flat, self.cb.weight.t())
        idx = torch.argmin(d, dim=1).unsqueeze(1)
        q = self.cb(idx).view(z.shape)
        loss = ((q.detach() - z) ** 2).mean() * 0.25 + ((q - z.detach()) ** 2).mean()
        q = z + (q - z).detach()
        return (self.d(q.permute(0, 3, 1, 2).contiguous()), loss.expand(x.shape[0]))

    return (
        net(nn, forward, e=nn.Conv2d(2, 3, 1), cb=nn.Embedding(5, 3), d=nn.Conv2d(3, 2, 1)),
        lambda o, y: F.mse_loss(o[0], y) + o[1].mean(),
    )


@prog(f(N, 2, 4, 4), f(N, 2, 4, 4))
def vqvae_onehot(torch: Any, nn: Any, F: Any) -> Any:
    def forward(self, x):
        z = self.e(x).permute(0, 2, 3, 1).contiguous()
        flat = z.view(-1, 3)
        d = (
            torch.sum(flat**2, dim=1, keepdim=True)
            + torch.sum(self.cb.weight**2, dim=1)
            - 2 * torch.matmul(flat, self.cb.weight.t())
        )
        idx = torch.argmin(d, dim=1).unsqueeze(1)
        enc = torch.zeros(idx.shape[0], 5)
        enc.scatter_(1, idx, 1)
        q = torch.matmul(enc, self.cb.weight).view(z.shape)
        q = z + (q - z).detach()
        return self.d(q.permute(0, 3, 1, 2))

    return (net(nn, forward, e=nn.Conv2d(2, 3, 1), cb=nn.Embedding(5, 3), d=nn.Conv2d(3, 2, 1)), F.mse_loss)


@prog(f(N, 4, 4, 6), i(3, N))
def swin(torch: Any, nn: Any, F: Any) -> Any:
    def part(x, w):
        B, H, W, C = x.shape
        x = x.view(B, H // w, w, W // w, w, C)
        return x.permute(0, 1, 3, 2, 4, 5).contiguous().view(-1, w, w, C)

    def rev(win, w, H, W):
        B = int(win.shape[0] / (H * W / w / w))
        x = win.view(B, H // w, W // w, w, w, -1)
        return x.permute(0, 1, 3, 2, 4, 5).contiguous().view(B, H, W, -1)

    def forward(self, x):
        x0 = x
        x = torch.roll(x, shifts=(-1, -1), dims=(1, 2))
        w = part(x, 2).view(-1, 4, 6)
        B_, L, C = w.shape
        qkv = self.qkv(w).reshape(B_, L, 3, 2, C // 2).permute(2, 0, 3, 1, 4)
        q, k, v = (qkv[0], qkv[1], qkv[2])
        a = q * (C // 2) ** (-0.5) @ k.transpose(-2, -1)
        mask = torch.zeros(4, 4, 4)
        a = a.view(B_ // 4, 4, 2, L, L) + mask.unsqueeze(1).unsqueeze(0)
        a = a.view(-1, 2, L, L).softmax(-1)
        o = (a @ v).transpose(1, 2).reshape(B_, L, C)
        x = rev(self.p(o).view(-1, 2, 2, 6), 2, 4, 4)
        x = torch.roll(x, shifts=(1, 1), dims=(1, 2)) + x0
        return self.h(x.flatten(1, 2).mean(1))

    return (net(nn, forward, qkv=nn.Linear(6, 18), p=nn.Linear(6, 6), h=nn.Linear(6, 3)), F.cross_entropy)


@prog(i(7, N, 5), i(7, N, 5))
def gpt_loss(torch: Any, nn: Any, F: Any) -> Any:
    def forward(self, idx):
        _B, L = idx.size()
        return self.h(self.e(idx) + self.p(torch.arange(L)))

    return (
        net(nn, forward, e=nn.Embedding(7, 4), p=nn.Embedding(8, 4), h=nn.Linear(4, 7)),
        lambda o, y: F.cross_entropy(o.view(-1, o.size(-1)), y.view(-1), ignore_index=-1),
    )


@prog(i(7, N, 5), i(7, N, 5))
def gpt_flat_out(torch: Any, nn: Any, F: Any) -> Any:
    def forward(self, idx):
        o = self.h(self.e(idx))
        B, L, C = o.shape
        return o.view(B * L, C)

    def loss(o, y):
        B, L = y.shape
        return F.cross_entropy(o, y.reshape(B * L))

    return (net(nn, forward, e=nn.Embedding(7, 4), h=nn.Linear(4, 7)), loss)


@prog(i(7, N, 5), i(3, N))
def bert_head(torch: Any, nn: Any, F: Any) -> Any:
    def forward(self, ids):
        B = ids.shape[0]
        h = self.e(ids)
        cls = torch.zeros(B, 1, 4)
        h = torch.cat([cls, h], dim=1)
        last = h[torch.arange(B), ids.argmax(-1)]
        return self.h(last)

    return (net(nn, forward, e=nn.Embedding(7, 4), h=nn.Linear(4, 3)), F.cross_entropy)


@prog(f(N, 6), f(N, 6))
def simclr(torch: Any, nn: Any, F: Any) -> Any:
    def forward(self, x):
        return self.l(x)

    def loss(o, y):
        z = F.normalize(torch.cat([o, o * y[:, :4]], 0), dim=1)
        n = o.shape[0]
        sim = z @ z.T / 0.5
        sim = sim.masked_fill(torch.eye(2 * n, dtype=torch.bool), -1000000000.0)
        t = torch.cat([torch.arange(n) + n, torch.arange(n)])
        return F.cross_entropy(sim, t)

    return (net(nn, forward, l=nn.Linear(6, 4)), loss)


@prog(f(N, 6), f(N, 6))
def clip(torch: Any, nn: Any, F: Any) -> Any:
    def forward(self, x):
        return self.l(x) * self.t.exp()

    def loss(o, y):
        logits = o @ F.normalize(y[:, :4], dim=-1).t()
        labels = torch.arange(len(logits))
        return (F.cross_entropy(logits, labels) + F.cross_entropy(logits.t(), labels)) / 2

    return (net(nn, forward, l=nn.Linear(6, 4), t=nn.Parameter(torch.tensor(0.5))), loss)


@prog(f(N, 6), i(3, N))
def triplet(torch: Any, nn: Any, F: Any) -> Any:
    def forward(self, x):
        return self.l(x)

    def loss(o, y):
        d = torch.cdist(o, o)
        same = y.unsqueeze(0) == y.unsqueeze(1)
        hp = (d * same.float()).max(dim=1)[0]
        hn = (d + same.float() * 1000.0).min(dim=1)[0]
        return F.relu(hp - hn + 1.0).mean()

    return (net(nn, forward, l=nn.Linear(6, 4)), loss)


@prog(f(N, 6), f(N, 3))
def batch_cov(torch: Any, nn: Any, F: Any) -> Any:
    def forward(self, x):
        return self.l(x)

    def loss(o, y):
        B = o.shape[0]
        c = o - o.mean(0)
        cov = c.T @ c / (B - 1)
        off = cov.flatten()[:-1].view(2, 4)[:, 1:].flatten()
        return F.mse_loss(o, y) + off.pow(2).sum() / 3

    return (net(nn, forward, l=nn.Linear(6, 3)), loss)


@prog(f(N, 6), f(N, 6))
def barlow(torch: Any, nn: Any, F: Any) -> Any:
    def forward(self, x):
        return self.l(x)

    def loss(o, y):
        B = o.size(0)
        c = (o / o.std(0)).T @ y[:, :3] / B
        return (torch.diagonal(c) - 1).pow(2).sum()

    return (net(nn, forward, l=nn.Linear(6, 3)), loss)


@prog(f(N, 6), f(N, 2))
def ghost_bn(torch: Any, nn: Any, F: Any) -> Any:
    def forward(self, x):
        chunks = x.chunk(2, 0)
        return self.l(torch.cat([c - c.mean(0, keepdim=True) for c in chunks], 0))

    return (net(nn, forward, l=nn.Linear(6, 2)), F.mse_loss)


@prog(f(N, 6), f(N, 2))
def mc_repeat(torch: Any, nn: Any, F: Any) -> Any:
    def forward(self, x):
        B = x.shape[0]
        h = x.repeat(3, 1) * torch.arange(1, 4).float().repeat_interleave(B)[:, None]
        return self.l(h).view(3, B, 2).mean(0)

    return (net(nn, forward, l=nn.Linear(6, 2)), F.mse_loss)


@prog(f(N, 2, 6), f(N, 1))
def siamese_cat(torch: Any, nn: Any, F: Any) -> Any:
    def forward(self, x):
        h = self.l(torch.cat([x[:, 0], x[:, 1]], dim=0))
        a, b = torch.split(h, x.size(0))
        return F.pairwise_distance(a, b, keepdim=True)

    return (net(nn, forward, l=nn.Linear(6, 2)), F.mse_loss)


@prog(f(N, 4, 3), f(N, 4, 3))
def mha_manual(torch: Any, nn: Any, F: Any) -> Any:
    def forward(self, x):
        B, L, _ = x.shape

        def sp(t):
            return t.view(B, L, 2, 2).transpose(1, 2).reshape(B * 2, L, 2)

        q, k, v = map(sp, (self.q(x), self.k(x), self.v(x)))
        a = torch.bmm(q, k.transpose(1, 2)).softmax(-1)
        return self.o(torch.bmm(a, v).view(B, 2, L, 2).transpose(1, 2).reshape(B, L, 4))

    return (net(nn, forward, q=nn.Linear(3, 4), k=nn.Linear(3, 4), v=nn.Linear(3, 4), o=nn.Linear(4, 3)), F.mse_loss)


@prog(f(N, 6), f(N, 2))
def loop_rows(torch: Any, nn: Any, F: Any) -> Any:
    def forward(self, x):
        return torch.stack([self.l(x[i]) for i in range(x.size(0))])

    return (net(nn, forward, l=nn.Linear(6, 2)), F.mse_loss)


@prog(f(N, 8), f(N, 2))
def hidden_init(torch: Any, nn: Any, F: Any) -> Any:
    def forward(self, x):
        B = x.shape[0]
        x = x.view(B, 4, 2).permute(1, 0, 2)
        h0 = torch.zeros(1, B, 3)
        _o, h = self.r(x, h0)
        return self.l(h.squeeze(0))

    return (net(nn, forward, r=nn.GRU(2, 3), l=nn.Linear(3, 2)), F.mse_loss)


@prog(f(N, 3, 4, 4), f(N, 3, 8, 8))
def shuffle_group(torch: Any, nn: Any, F: Any) -> Any:
    def forward(self, x):
        h = self.c(x)
        n, c, hh, ww = h.shape
        h = h.view(n * c // 4, 4, hh, ww).view(n, -1, hh, ww)
        return F.pixel_shuffle(h, 2)

    return (net(nn, forward, c=nn.Conv2d(3, 12, 3, padding=1)), F.mse_loss)


@prog(f(N, 3, 4, 4), f(N, 1))
def gram(torch: Any, nn: Any, F: Any) -> Any:
    def forward(self, x):
        h = self.c(x)
        a, b, c, d = h.size()
        ft = h.view(a * b, c * d)
        G = torch.mm(ft, ft.t()).div(a * b * c * d)
        return h.mean((1, 2, 3)).unsqueeze(1) + G.mean()

    return (net(nn, forward, c=nn.Conv2d(3, 2, 3, padding=1)), F.mse_loss)


@prog(f(N, 4, 6), f(N, 4, 6))
def einops_like(torch: Any, nn: Any, F: Any) -> Any:
    def forward(self, x):
        h = torch.einsum("bnd,de->bne", x, self.l.weight).reshape(-1, 2, 3).transpose(1, 2).reshape(x.shape[0], 4, 6)
        m = torch.einsum("bnd,bne->de", h, x) / x.shape[0]
        return h @ m

    return (net(nn, forward, l=nn.Linear(6, 6)), F.mse_loss)


@prog(f(N, 6), f(N, 2))
def moe(torch: Any, nn: Any, F: Any) -> Any:
    def forward(self, x):
        p = self.g(x).softmax(-1)
        o = torch.stack([e(x) for e in self.e], 1)
        w, idx = p.max(-1)
        return o[torch.arange(x.size(0)), idx] * w[:, None]

    return (net(nn, forward, g=nn.Linear(6, 3), e=nn.ModuleList([nn.Linear(6, 2) for _ in range(3)])), F.mse_loss)


@prog(f(N, 6), f(N, 2))
def minibatch_disc(torch: Any, nn: Any, F: Any) -> Any:
    def forward(self, x):
        m = (x @ self.T).view(-1, 2, 2)
        M = m.unsqueeze(0)
        MT = M.permute(1, 0, 2, 3)
        o = torch.exp(-torch.abs(M - MT).sum(3)).sum(0) - 1
        return self.l(torch.cat([x, o], 1))

    return (
        net(
            nn, forward, T=nn.Parameter(torch.ones(6, 4) * 0.1 + torch.arange(24).view(6, 4) / 24.0), l=nn.Linear(8, 2)
        ),
        F.mse_loss,
    )
