"""What usual categories are called in English and in Chinese: 悬疑片 is a mystery.

Catalogues name their categories in one language and people ask in the other. A sentence encoder
bridges most of that, but not the terms of art: it takes 剧情片, a drama, for "a film with a plot".
"""

from __future__ import annotations

import re

_GROUPS = (
    # films and series
    ("action", "动作", "动作片", "打斗", "枪战"),
    ("adventure", "冒险", "冒险片", "探险"),
    ("animation", "animated", "anime", "cartoon", "cartoons", "动画", "动画片", "卡通", "动漫"),
    ("biography", "biographical", "biopic", "传记", "传记片"),
    ("children", "childrens", "children s", "kids", "儿童", "儿童片", "少儿", "小朋友", "小孩"),
    (
        "comedy",
        "comedies",
        "humor",
        "humour",
        "funny",
        "hilarious",
        "喜剧",
        "喜剧片",
        "搞笑",
        "好笑",
        "爆笑",
        "幽默",
    ),
    (
        "crime",
        "gangster",
        "gangsters",
        "mafia",
        "犯罪",
        "犯罪片",
        "警匪",
        "警匪片",
        "黑帮",
        "黑社会",
    ),
    ("documentary", "documentaries", "纪录", "纪录片", "记录片"),
    ("drama", "dramas", "剧情", "剧情片"),
    ("family", "家庭", "亲子", "合家欢"),
    ("fantasy", "奇幻", "奇幻片", "魔幻"),
    ("film noir", "noir", "黑色电影"),
    ("history", "historical", "历史", "历史片"),
    ("horror", "scary", "spooky", "恐怖", "恐怖片", "惊悚恐怖", "吓人", "可怕", "鬼片"),
    ("martial arts", "wuxia", "kung fu", "武侠", "武打", "功夫", "功夫片"),
    ("musical", "musicals", "歌舞", "歌舞片", "音乐剧", "音乐片"),
    ("mystery", "mysteries", "whodunit", "悬疑", "悬疑片", "推理", "侦探", "破案", "凶手"),
    ("romance", "romantic", "love stories", "爱情", "爱情片", "浪漫", "言情", "谈恋爱"),
    ("sci fi", "science fiction", "scifi", "sf", "科幻", "科幻片"),
    ("sport", "sports", "体育", "运动"),
    ("thriller", "thrillers", "suspense", "惊悚", "惊悚片"),
    ("war", "战争", "战争片", "打仗", "战场"),
    ("western", "westerns", "cowboy", "cowboys", "西部", "西部片", "牛仔"),
    # books
    ("business", "economics", "商业", "经济", "财经"),
    ("cooking", "cookbooks", "food", "烹饪", "美食"),
    ("education", "教育"),
    ("fiction", "novel", "novels", "小说"),
    ("philosophy", "哲学"),
    ("poetry", "poems", "诗歌", "诗"),
    ("psychology", "心理", "心理学"),
    ("religion", "宗教"),
    ("science", "科学", "科普"),
    ("self help", "励志", "自助"),
    ("travel", "旅行", "旅游"),
    # music and games
    ("blues", "蓝调", "布鲁斯"),
    ("classical", "古典", "古典音乐"),
    ("country", "乡村", "乡村音乐"),
    ("electronic", "electronica", "电子", "电子音乐"),
    ("folk", "民谣", "民间"),
    ("hip hop", "rap", "嘻哈", "说唱"),
    ("jazz", "爵士", "爵士乐"),
    ("pop", "流行", "流行音乐"),
    ("rock", "摇滚", "摇滚乐"),
    ("puzzle", "puzzles", "益智", "解谜"),
    ("role playing", "rpg", "角色扮演"),
    ("shooter", "射击"),
    ("simulation", "模拟"),
    ("strategy", "策略"),
    # shops
    ("beauty", "cosmetics", "美妆", "化妆品"),
    ("clothing", "fashion", "服装", "时尚", "服饰"),
    ("electronics", "数码", "电子产品"),
    ("furniture", "家具"),
    ("health", "健康", "保健"),
    ("toys", "玩具"),
)
_FOUND = {word: group for group in _GROUPS for word in group}


def also_called(name: str) -> tuple[str, ...]:
    """Return other names of a category, in both languages; none where it is not a usual one.

    Example:
        >>> also_called("Sci-Fi")
        ('science fiction', 'scifi', 'sf', '科幻', '科幻片')
        >>> also_called("悬疑")
        ('mystery', 'mysteries', 'whodunit', '悬疑片', '推理', '侦探', '破案', '凶手')
        >>> also_called("Widgets")
        ()
    """
    plain = " ".join(re.findall(r"\w+", name.lower()))
    return tuple(word for word in _FOUND.get(plain, ()) if word != plain)
