"""What reading data and looking at it says, in Chinese: notes and errors, as templates of `Phrases`."""

NOTES = {
    "{0}, line {1}, column {2}: {3}": "{0} 第 {1} 行，列 {2}：{3}",
    "{0}, row {1}, column {2}: {3}": "{0} 第 {1} 行，列 {2}：{3}",
    "{0}, file {1}, column {2}: {3}": "{0} 的文件 {1}，列 {2}：{3}",
    "line {0}": "第 {0} 行", "lines {0}": "第 {0} 行", "row {0}": "第 {0} 行", "rows {0}": "第 {0} 行",
    "file {0}": "文件 {0}", "files {0}": "文件 {0}",
    "no target is given: it is the column {0}, for its name. Write --target for another":
        "没有指定目标，按列名取 {0}；若要另选，请写 --target",
    "no target is given: it is the last column, {0}. Write --target for another":
        "没有指定目标，取最后一列 {0}；若要另选，请写 --target",
    "{0} rows have no target and are left out ({1})": "{0} 行没有目标，已略去（{1}）",
    "{0} rows have no target and are left out": "{0} 行没有目标，已略去",
    "1 row has no target and is left out ({0})": "1 行没有目标，已略去（{0}）",
    "1 row has no target and is left out": "1 行没有目标，已略去",
    "{0} is no number; it counts as missing": "{0} 不是数值，按缺失处理",
    "{0} is no date; it counts as missing": "{0} 不是日期，按缺失处理",
    "and {0} more values like these": "以及另外 {0} 个类似的值",
    "few rows of the class {0}: its scores say little": "类别 {0}的行数很少，其得分意义不大",
    "few rows of the classes {0}: their scores say little": "类别 {0}的行数很少，其得分意义不大",
    "{0} and {1} more": "{0} 以及另外 {1} 个",
    "the classes are imbalanced: {0} has {1} of the rows; the threshold is tuned for it":
        "类别不平衡：{0} 占 {1} 的行；阈值已据此调整",
    "the target {0} is nearly the number of the row: rows that are near each other in the file give it away where they "
    "are split by chance. Write --time-column if the rows are in order of time":
        "目标 {0} 几乎就是行号：随机划分时，文件中相邻的行会泄露答案。若各行按时间排序，请写 --time-column",
    "the column {0} alone gives the target away ({1} of 1). If it is not known before the target is, write --columns "
    "{0}=ignore":
        "仅凭列 {0} 就几乎能得出目标（{1}，满分 1）。若它不是在目标之前就已知，请写 --columns {0}=ignore",
    "the column {0} alone gives the target away ({1} of 1). If it is not known before the target is, write --columns "
    "{2}=ignore":
        "仅凭列 {0} 就几乎能得出目标（{1}，满分 1）。若它不是在目标之前就已知，请写 --columns {2}=ignore",
    "the column {0} is taken for a {1}, and {2} of its values are numbers. If the others are slips, write --columns "
    "{3}=number":
        "列 {0} 被当作 {1}，其中 {2} 的值是数值。若其余是笔误，请写 --columns {3}=number",
    "the column {0} alone gives the target {1} away ({2} of 1). If it is not known before the target is, write "
    "--columns {3}=ignore":
        "仅凭列 {0} 就几乎能得出目标 {1}（{2}，满分 1）。若它不是在目标之前就已知，请写 --columns {3}=ignore",
    "{0} was changed while the model was trained, which knows what it was before":
        "训练期间 {0} 被改动，模型只知道改动之前的内容",
    "the time was enough for {0} of {1} rounds of boosted trees": "时间只够提升树的 {1} 轮中的 {0} 轮",
    "the time was too short for the linear model to converge": "时间不够，线性模型没有收敛",
    "importances and dependences are left out: {0}": "略去重要性与依赖关系：{0}",
    "{0}: line {1} has numbers and no names: the columns are column1 to column{2}":
        "{0}：第 {1} 行是数值而非列名，各列称为 column1 到 column{2}",
    "{0}: separated by {1}": "{0}：分隔符为 {1}", "tabs": "制表符", "a tab": "制表符",
    "{0}: read as UTF-16": "{0}：按 UTF-16 读取",
    "{0}: read as GB 18030: it is not UTF-8": "{0}：不是 UTF-8，按 GB 18030 读取",
    "{0}: read as Windows-1252: it is not UTF-8": "{0}：不是 UTF-8，按 Windows-1252 读取",
    "{0} could not be read ({1}) and is left out": "{0} 无法读取（{1}），已略去",
    "the column {0} is not known, and not used": "未知的列 {0}，未使用",
}  # fmt: skip
ERRORS = {
    "the file": "该文件", "nothing": "无后缀",
    "{0}, line {1}, has {2} fields, and there are {3} columns.{4} Quote fields that hold {5} with double quotes, or "
    "repair the lines, instead.":
        "{0} 第 {1} 行有 {2} 个字段，而表共有 {3} 列。{4}请给含有 {5} 的字段加双引号，或修正这些行。",
    " The same is wrong with the lines {0}.": "第 {0} 行也有同样的问题。",
    "{0} ends in {1}. Write a table in a file that ends in one of {2} instead.":
        "{0} 的后缀是 {1}。请使用以下后缀之一的表格文件：{2}。",
    "no known ending": "未知后缀",
    "{0} has the columns {1} and no rows. Write a table with rows instead.":
        "{0} 有列 {1}，但没有行。请使用有数据行的表格。",
    "{0} changed while it was read. Wait until it is whole, and try again.": "读取期间 {0} 被改动。请等它写完后再试。",
    "{0} is empty. Write a table with a line of names and rows instead.":
        "{0} 是空的。请使用有一行列名和若干数据行的表格。",
    "{0} has several columns named {1}. Give each a name of its own instead.":
        "{0} 有几列都叫 {1}。请给每列一个不同的名称。",
    "{0} is no text file: {1}. Write a table in UTF-8 instead.": "{0} 不是文本文件：{1}。请使用 UTF-8 编码的表格。",
    "{0}, line {1}: {2}. Close its quotes, and double those within a field, instead.":
        "{0} 第 {1} 行：{2}。请补全引号，字段内的引号要写两次。",
    "{0} is not in the encoding {1}: {2}. Write another one instead.": "{0} 不是 {1} 编码：{2}。请改用其他编码。",
    "{0} could not be read: {1}. Repair it, or write CSV, instead.": "无法读取 {0}：{1}。请修复它，或改用 CSV。",
    "the target {0} has {1} classes. Write one with at most {2}.":
        "目标 {0} 有 {1} 个类别。请选择最多 {2} 个类别的目标。",
    "the target {0} {1}, so there is nothing to learn. Write another --target.":
        "目标 {0} {1}，没有可学的内容。请选择另一个目标（--target）。",
    "has the value {0} in all rows": "在所有行中都是 {0}", "is empty": "是空的",
    "the target {0} has {1} different values in {2} rows, like a number of the row. Write another --target, or "
    "--columns {3}=number if it is what you want.":
        "目标 {0} 在 {2} 行中有 {1} 个不同的值，像是行号。请选择另一个目标（--target）；若确实要它，请写 --columns {3"
        "}=number。",
    "the target {0} is free text ({1} ...). Write another --target, or --columns {2}=category if its values are "
    "classes.":
        "目标 {0} 是自由文本（{1} ...）。请选择另一个目标（--target）；若其值是类别，请写 --columns {2}=category。",
    "of several targets all are numbers, or all have two values, and {0} is a {1} of {2} values. Train a model for it "
    "alone instead.":
        "有多个目标时，应全部是数值，或全部只有两个值，而 {0} 是有 {2} 个值的 {1}。请单独为它训练模型。",
    "{0}, column {1}: the value is {2}, and the model knows {3} and {4}. Correct or remove the row instead.":
        "{0}，列 {1}：值为 {2}，而模型只知道 {3} 和 {4}。请改正或删除该行。",
    "the target {0} is a date ({1} ...), and a number or a class is predicted. Write another --target, or --columns "
    "{2}=category if its values are classes.":
        "目标 {0} 是日期（{1} ...），而预测的应是数值或类别。请选择另一个目标（--target）；若其值是类别，请写 "
        "--columns {2}=category。",
    "the column {0} is given as {1}, and no value in it is one ({2} ...). Write --columns {3}={4} instead.":
        "列 {0} 被指定为 {1}，但没有一个值是（{2} ...）。请改写 --columns {3}={4}。",
    "the time column {0} is a {1}. Write a column of dates or of numbers instead.":
        "时间列 {0} 是 {1}。请改用日期列或数值列。",
    "{0}, line {1}, has a zero byte, which no text has. Repair the file instead.":
        "{0} 第 {1} 行含有零字节，文本中不应有。请修复该文件。",
    "there is no file or folder {0}. Write the name of one, such as data.csv.":
        "没有名为 {0} 的文件或文件夹。请写一个存在的名称，例如 data.csv。",
    "column {0} is given as {1}. Write one of {2}, {3} instead.": "列 {0} 被指定为 {1}。请改用 {2} 或 {3} 之一。",
    "[Errno 2] No such file or directory: {0}": "文件 {0} 不存在",
    "{0} was trained on data that are no file, which are not kept": "{0} 的训练数据不是文件，没有保留",
    "{0} has changed since {1} was trained. Train it again.": "{1} 训练之后 {0} 已被改动。请重新训练。",
    "{0} has no column {1}. Write {2}, or another one of {3}, instead.":
        "{0} 没有列 {1}。请改用 {2}，或 {3} 中的另一个。",
}  # fmt: skip
DATA = NOTES | ERRORS
