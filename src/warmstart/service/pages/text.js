// Every word of the pages, in English and Chinese; and the service's own lines, told in Chinese.

const LANGUAGE = "warmstart-language";

export const TEXT = {
  en: {
    "nav.label": "Pages", "nav.first": "First click", "nav.why": "Why", "nav.operator": "Operator",
    "skip": "Skip to the list", "language": "中文", "language.label": "切换到中文",
    "footer": "Every answer on these pages comes from the model that is being served now.",
    "loading": "Loading…", "retry": "Try again", "reset": "Start over",

    "first.title": "First click",
    "first.head": "One click, and it knows you better.",
    "first.lead": "No account, no past. Like or dislike anything: the whole list is ranked again before you look up.",
    "words.label": "Or say it in your own words",
    "words.hint": "quiet space films before 1990",
    "words.go": "Ask", "words.clear": "Forget these words",
    "words.understood": "Understood", "words.nothing": "Nothing in these words told us what you want; the list is as it was.",
    "words.refused": "Not in this catalogue: {what}",
    "words.none": "No item fits these words. Ask for less, or forget them.",
    "ask.badge": "Most helpful question",
    "ask.head": "What about {title}?",
    "ask.like": "Like it", "ask.dislike": "Not for me", "ask.unseen": "Don’t know it",
    "ask.done": "Nothing left to ask: your answers say enough.",
    "ask.gain": "Settles about {gain} of what is still unknown about you",
    "taste.head": "What you said", "taste.none": "Nothing yet. Your likes and dislikes will stand here.",
    "taste.forget": "Forget me", "taste.forgotten": "Forgotten. Everything you said is deleted, here and on the server.",
    "taste.undo.like": "Take back your like of {title}", "taste.undo.dislike": "Take back your dislike of {title}",
    "taste.liked": "liked", "taste.disliked": "disliked",
    "wall.head": "Your list", "wall.start": "Where everybody starts", "wall.words": "For your words",
    "wall.keys": "Keyboard: on a card, L likes and D dislikes.",
    "wall.empty": "The list is empty: you have seen everything there is.",
    "like": "Like", "dislike": "Dislike",
    "like.item": "Like {title}", "dislike.item": "Dislike {title}", "why.item": "Why {title}?",
    "best.question": "Best question",
    "moved.up": "up {n}", "moved.down": "down {n}", "moved.new": "new here", "moved.from": "from {n}",
    "moved.head": "What moved", "moved.none": "Answer once, and what moved will be told here.",
    "moved.summary": "{up} rose, {down} fell, {new} came in", "moved.same": "The order stayed as it was.",
    "moved.after.like": "You liked {title}.", "moved.after.dislike": "You disliked {title}.",
    "moved.after.undo": "You took back {title}.", "moved.after.words": "You asked for “{title}”.",
    "moved.after.clear": "You forgot your words.",
    "moved.ms": "ranked again in {ms} ms",

    "why.title": "Why",
    "why.head": "Why is it on your list?",
    "why.lead": "For each item: what you did that speaks for it or against it, what it has in common with your likes, your words, and how sure the model is.",
    "why.pick": "Your list", "why.likes": "Your likes and dislikes",
    "why.likes.none": "You have said nothing yet, so the model goes by what most people like. Like something on the first page, and come back.",
    "why.likes.note": "How far each answer lifts this item (right) or lowers it (left), against the strongest of this list.",
    "why.likes.zero": "None of your answers moved this item noticeably.",
    "why.attributes": "Attributes", "why.attributes.none": "Nothing is known of what this item is about.",
    "why.attribute.shared": "in {n} of {of} likes", "why.attribute.own": "in none of your likes",
    "why.words": "Your words", "why.words.none": "You have not said anything in words.",
    "why.words.listed": "“{words}” put it on your list: {reason}", "why.words.unlisted": "It is not among the answers to “{words}”.",
    "why.sure": "How sure", "why.sure.none": "This model does not say how sure it is.",
    "why.sure.note": "The dot is the score; the bar is one standard deviation to either side, on the scale of your whole list. Long bars mean: ask me more.",
    "why.sure.value": "score {score}, give or take {doubt}",
    "why.people": "liked by {n} people",
    "why.place": "no. {n} on your list", "why.toward": "for", "why.against": "against",
    "why.unlisted": "not on your list",

    "operator.title": "Operator",
    "operator.head": "What is running",
    "kpi.items": "items", "kpi.new": "added since training", "kpi.users": "training users",
    "kpi.p50": "median answer", "kpi.p99": "99 of 100 within", "kpi.requests": "lists answered", "kpi.none": "–",
    "curve.head": "Quality by number of answers", "curve.note": "nDCG@10 on users held out of training, as the saved model reports it.",
    "curve.model": "this model", "curve.popularity": "popularity", "curve.shots": "answers known of a user", "curve.none": "This model reports no quality; train the default method to see its curve.",
    "curve.table": "As a table", "curve.users": "users",
    "bias.head": "Whom the lists favour", "bias.note": "{n} simulated visitors who each liked one item, drawn by popularity; lists of {k}.",
    "bias.coverage": "catalogue on some list", "bias.gini": "inequality of exposure (Gini)", "bias.popularity": "mean popularity of what is listed", "bias.tail": "places for the less popular half", "bias.new": "places for new items",
    "bias.percentile": "{n} percentile", "bias.gap": "largest gap between groups", "bias.gap.points": "{n} points", "bias.gap.none": "The model knows no groups of users.",
    "bias.gap.note": "Mean popularity percentile of the lists when the same visitors are asked as members of each group of “{column}”.",
    "latency.head": "Latency", "latency.note": "Since the service started, from its own histogram.", "latency.none": "No requests yet.",
    "latency.route": "route", "latency.count": "requests", "latency.p50": "p50", "latency.p99": "p99", "latency.failed": "failed",
    "models.head": "Model versions", "models.serving": "serving now", "models.previous": "before it", "models.load": "Load", "models.load.label": "Load the model {name}", "models.back": "Roll back", "models.done": "{model} serves now.", "models.method": "method",
    "events.head": "Live events", "events.none": "No events yet. Like something on the first page, and it will appear here.",
    "events.user": "user", "events.item": "item", "events.event": "event", "events.when": "when", "events.live": "refreshed every 2 seconds",
    "ago.seconds": "{n} s ago", "ago.minutes": "{n} min ago", "ago.hours": "{n} h ago", "ago.days": "{n} d ago",
    "items.head": "Catalogue", "items.by": "Order", "items.by.popularity": "most liked", "items.by.newest": "newest", "items.by.catalogue": "as given",
    "items.title": "title", "items.tags": "tags", "items.likes": "likes", "items.new": "new",
    "items.previous": "Previous", "items.next": "Next", "items.range": "{from}–{to} of {total}", "items.none": "The catalogue is empty.",
    "add.head": "Add an item", "add.note": "Nobody has met it; it is recommended from the next request on.",
    "add.id": "Id", "add.name": "Title", "add.tags": "Tags ({column}, commas between)", "add.year": "Year", "add.description": "Description",
    "add.go": "Add it", "add.busy": "Adding…", "add.done": "Recommended {seconds} s after you added it",
    "add.rank": "No. {rank} of {of} for a visitor who likes {likes}.", "add.absent": "It is served, but not among the first {k} for a visitor who likes {likes}.",
    "add.new": "new", "add.needs": "An id and a title are needed.",

    "key.title": "A key, please", "key.note": "This service asks for a key. It stays in this tab and is gone when you close it.",
    "key.wrong": "This key opens nothing. Try another one.", "key.label": "Key (ws_…)", "key.go": "Open",
    "error.offline": "The service cannot be reached. Is it running?", "error.scope": "Your key may not do this; use one with a wider scope.",
    "error.busy": "The service is busy. Try again in a moment.", "error.other": "That did not work.",
  },
  zh: {
    "nav.label": "页面", "nav.first": "第一次点击", "nav.why": "为什么", "nav.operator": "运营",
    "skip": "跳到列表", "language": "English", "language.label": "Switch to English",
    "footer": "这些页面上的每个结果都来自当前正在服务的模型。",
    "loading": "加载中…", "retry": "重试", "reset": "重新开始",

    "first.title": "第一次点击",
    "first.head": "点一下，就更懂你。",
    "first.lead": "不用注册，也不看过去。喜欢或不喜欢任何一项，整个列表立刻重新排序。",
    "words.label": "也可以用自己的话说",
    "words.hint": "1990年以前的科幻片",
    "words.go": "提问", "words.clear": "忘掉这句话",
    "words.understood": "理解为", "words.nothing": "没能从这句话里听出你想要什么，列表保持不变。",
    "words.refused": "目录里没有：{what}",
    "words.none": "没有符合这句话的内容。放宽条件，或忘掉这句话。",
    "ask.badge": "最有帮助的问题",
    "ask.head": "《{title}》怎么样？",
    "ask.like": "喜欢", "ask.dislike": "不喜欢", "ask.unseen": "不了解",
    "ask.done": "没有要问的了：你的回答已经足够。",
    "ask.gain": "大约能消除对你的未知的 {gain}",
    "taste.head": "你说过的", "taste.none": "还没有。你的喜欢和不喜欢会出现在这里。",
    "taste.forget": "忘掉我", "taste.forgotten": "已忘掉。你说过的一切都已从本页和服务器上删除。",
    "taste.undo.like": "撤回对《{title}》的喜欢", "taste.undo.dislike": "撤回对《{title}》的不喜欢",
    "taste.liked": "喜欢", "taste.disliked": "不喜欢",
    "wall.head": "你的列表", "wall.start": "每个人的起点", "wall.words": "按你说的话",
    "wall.keys": "键盘：在卡片上按 L 喜欢，按 D 不喜欢。",
    "wall.empty": "列表空了：所有内容你都看过了。",
    "like": "喜欢", "dislike": "不喜欢",
    "like.item": "喜欢《{title}》", "dislike.item": "不喜欢《{title}》", "why.item": "为什么推荐《{title}》？",
    "best.question": "最该问",
    "moved.up": "升 {n}", "moved.down": "降 {n}", "moved.new": "新进", "moved.from": "原第 {n}",
    "moved.head": "变化", "moved.none": "回答一次，这里就会说明什么变了。",
    "moved.summary": "{up} 项上升，{down} 项下降，{new} 项新进", "moved.same": "顺序没有变化。",
    "moved.after.like": "你喜欢《{title}》。", "moved.after.dislike": "你不喜欢《{title}》。",
    "moved.after.undo": "你撤回了《{title}》。", "moved.after.words": "你说：“{title}”。",
    "moved.after.clear": "你让我们忘掉那句话。",
    "moved.ms": "{ms} 毫秒内重新排序",

    "why.title": "为什么",
    "why.head": "它为什么在你的列表里？",
    "why.lead": "每一项的依据：你的哪些回答支持或反对它，它与你喜欢的内容有什么共同点，你说过的话，以及模型有多大把握。",
    "why.pick": "你的列表", "why.likes": "你的喜欢与不喜欢",
    "why.likes.none": "你还什么都没说，所以模型按大多数人的喜好来排。先在首页喜欢一项，再回来看看。",
    "why.likes.note": "每个回答把这一项抬高（向右）或压低（向左）多少，以这个列表里最强的为准。",
    "why.likes.zero": "你的回答都没有明显影响这一项。",
    "why.attributes": "属性", "why.attributes.none": "不知道这一项的内容。",
    "why.attribute.shared": "你喜欢的 {of} 项中有 {n} 项", "why.attribute.own": "你喜欢的内容里没有",
    "why.words": "你的话", "why.words.none": "你还没有用自己的话说过。",
    "why.words.listed": "“{words}”让它进入你的列表：{reason}", "why.words.unlisted": "它不在“{words}”的结果之中。",
    "why.sure": "把握", "why.sure.none": "这个模型不说明自己有多大把握。",
    "why.sure.note": "圆点是得分，横条是左右各一个标准差，以你的整个列表为刻度。横条越长，越需要多问你。",
    "why.sure.value": "得分 {score}，上下 {doubt}",
    "why.people": "{n} 人喜欢",
    "why.place": "列表第 {n} 位", "why.toward": "支持", "why.against": "反对",
    "why.unlisted": "不在你的列表里",

    "operator.title": "运营",
    "operator.head": "运行状况",
    "kpi.items": "内容", "kpi.new": "训练后新增", "kpi.users": "训练用户",
    "kpi.p50": "中位响应", "kpi.p99": "99% 不超过", "kpi.requests": "已答列表", "kpi.none": "–",
    "curve.head": "回答数与质量", "curve.note": "训练中留出用户的 nDCG@10，由保存的模型报告。",
    "curve.model": "本模型", "curve.popularity": "热门", "curve.shots": "已知的用户回答数", "curve.none": "这个模型没有报告质量；训练默认方法即可看到曲线。",
    "curve.table": "以表格查看", "curve.users": "用户",
    "bias.head": "列表偏向谁", "bias.note": "{n} 位模拟访客，每人喜欢一项（按热度抽取）；每个列表 {k} 项。",
    "bias.coverage": "进入过某个列表的内容", "bias.gini": "曝光不平等（基尼系数）", "bias.popularity": "列表内容的平均热度", "bias.tail": "较冷门一半所占位置", "bias.new": "新内容所占位置",
    "bias.percentile": "第 {n} 百分位", "bias.gap": "群体间最大差距", "bias.gap.points": "{n} 个百分点", "bias.gap.none": "模型不知道用户群体。",
    "bias.gap.note": "同样的访客分别作为“{column}”的各个群体时，列表的平均热度百分位。",
    "latency.head": "延迟", "latency.note": "服务启动以来，取自它自己的直方图。", "latency.none": "还没有请求。",
    "latency.route": "路径", "latency.count": "请求数", "latency.p50": "p50", "latency.p99": "p99", "latency.failed": "失败",
    "models.head": "模型版本", "models.serving": "正在服务", "models.previous": "上一个", "models.load": "加载", "models.load.label": "加载模型 {name}", "models.back": "回滚", "models.done": "{model} 正在服务。", "models.method": "方法",
    "events.head": "实时事件", "events.none": "还没有事件。在首页喜欢一项，它就会出现在这里。",
    "events.user": "用户", "events.item": "内容", "events.event": "事件", "events.when": "时间", "events.live": "每 2 秒刷新",
    "ago.seconds": "{n} 秒前", "ago.minutes": "{n} 分钟前", "ago.hours": "{n} 小时前", "ago.days": "{n} 天前",
    "items.head": "目录", "items.by": "排序", "items.by.popularity": "最受喜欢", "items.by.newest": "最新", "items.by.catalogue": "原始顺序",
    "items.title": "标题", "items.tags": "标签", "items.likes": "喜欢数", "items.new": "新",
    "items.previous": "上一页", "items.next": "下一页", "items.range": "第 {from}–{to} 项，共 {total} 项", "items.none": "目录是空的。",
    "add.head": "添加内容", "add.note": "没有人见过它；从下一个请求起就会被推荐。",
    "add.id": "编号", "add.name": "标题", "add.tags": "标签（{column}，用逗号分隔）", "add.year": "年份", "add.description": "简介",
    "add.go": "添加", "add.busy": "添加中…", "add.done": "添加 {seconds} 秒后已被推荐",
    "add.rank": "对喜欢{likes}的访客，排第 {rank}（共 {of} 项）。", "add.absent": "它已上线，但对喜欢{likes}的访客不在前 {k} 项之中。",
    "add.new": "新", "add.needs": "需要编号和标题。",

    "key.title": "请输入密钥", "key.note": "这个服务需要密钥。密钥只留在本标签页，关闭后即消失。",
    "key.wrong": "这个密钥无效，请换一个。", "key.label": "密钥（ws_…）", "key.go": "进入",
    "error.offline": "无法连接服务。它在运行吗？", "error.scope": "你的密钥没有这个权限，请使用权限更大的密钥。",
    "error.busy": "服务繁忙，请稍后再试。", "error.other": "操作没有成功。",
  },
};

const html = document.documentElement;
const chosen = localStorage.getItem(LANGUAGE);
let current = (chosen ?? html.lang).startsWith("zh") ? "zh" : "en";

export const language = () => current;

/** Return a text in the language of the page, its {places} filled. */
export function t(key, values = {}) {
  const text = TEXT[current][key] ?? TEXT.en[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

/** Write every text that is marked in the page. */
export function translate(within = document) {
  html.lang = current === "zh" ? "zh-Hans" : "en";
  for (const node of within.querySelectorAll("[data-t]")) node.textContent = t(node.dataset.t);
  for (const node of within.querySelectorAll("[data-t-label]")) {
    node.setAttribute("aria-label", t(node.dataset.tLabel));
  }
  for (const node of within.querySelectorAll("[data-t-placeholder]")) {
    node.placeholder = t(node.dataset.tPlaceholder);
  }
  const title = html.dataset.title;
  document.title = `${t(title)} · warmstart`;
}

export function switchLanguage() {
  current = current === "zh" ? "en" : "zh";
  localStorage.setItem(LANGUAGE, current);
}

// The service tells why in the language of the request, part by part; these are all its parts.

const titles = (names) => names.split(" and ").map((name) => `《${name}》`).join("和");
const names = (said) => said.replace(/》和《/g, " and ").replace(/[《》]/g, "");
const quoted = (words) => words.replace(/”, “/g, "”、“");

const PARTS = {
  zh: [
    [/^because you liked? (.+) and disliked (.+)$/, (m) => `因为你喜欢${titles(m[1])}，不喜欢${titles(m[2])}`],
    [/^because you liked? (.+)$/, (m) => `因为你喜欢${titles(m[1])}`],
    [/^because you (?:disliked|do not like) (.+)$/, (m) => `因为你不喜欢${titles(m[1])}`],
    [/^(.+), as you asked$/, (m) => `符合你的要求：${m[1]}`],
    [/^its description says (.+)$/, (m) => `介绍里提到${quoted(m[1])}`],
    [/^close to (“.+”)$/, (m) => `与${m[1]}相近`],
    [/^fits what you told about yourself$/, () => "符合你介绍的自己"],
    [/^liked by ([\d,]+) of ([\d,]+) users$/, (m) => `${m[2]} 位用户中有 ${m[1]} 位喜欢`],
    [/^new in the catalogue, liked by its first users? \(([\d,]+)\)$/, (m) => `新上架，最早的 ${m[1]} 位用户喜欢`],
    [/^new in the catalogue, known by its description only$/, () => "新上架，仅凭简介了解"],
    [/^new in the catalogue$/, () => "新上架"],
    [/^about (\d+) % of people with your answers know it$/, (m) => `与你回答相同的人约 ${m[1]}% 了解它`],
    [/^(\d+) % of people know it$/, (m) => `${m[1]}% 的人了解它`],
    [/^an answer tells more about taste than one on (\d+) % of the items$/, (m) => `它的回答比 ${m[1]}% 的内容更能说明口味`],
  ],
  en: [
    [/^因为你喜欢(《.+》)$/, (m) => `because you like ${names(m[1])}`],
    [/^因为你不喜欢(《.+》)$/, (m) => `because you do not like ${names(m[1])}`],
    [/^符合你的要求：(.+)$/, (m) => `${m[1].replace(/、/g, ", ")}, as you asked`],
    [/^介绍里提到(.+)$/, (m) => `its description says ${m[1].replace(/、/g, ", ")}`],
    [/^与(“.+”)相近$/, (m) => `close to ${m[1]}`],
    [/^符合你介绍的自己$/, () => "fits what you told about yourself"],
    [/^新上架$/, () => "new in the catalogue"],
    [/^([\d,]+) 位用户中有 ([\d,]+) 位喜欢$/, (m) => `liked by ${m[2]} of ${m[1]} users`],
  ],
};
const JOINS = { en: ["；", "; "], zh: ["; ", "；"] };

/** Return a line of the service in the language of the page; one that is not known as it is. */
export function told(line) {
  if (!line) return "";
  const [from, to] = JOINS[current];
  const parts = line.split(from).map((part) => {
    for (const [pattern, say] of PARTS[current]) {
      const match = pattern.exec(part);
      if (match) return say(match);
    }
    return null;
  });
  return parts.includes(null) ? line : parts.join(to);
}

export function number(value, digits = 0) {
  return new Intl.NumberFormat(current, { maximumFractionDigits: digits, minimumFractionDigits: digits }).format(value);
}

export const percent = (share, digits = 0) => `${number(100 * share, digits)}%`;
