"""The cue words of `encoders.clauses`: phrases that want, rule out or merely connect, by kind."""

UNWANTED = (  # cover everything up to the next break
    "hate", "hates", "hated", "hating", "dislike", "dislikes", "disliked", "detest", "loathe",
    "despise", "avoid", "avoids", "avoiding", "exclude", "excluding", "skip", "except",
    "except for", "excepting", "apart from", "aside from", "other than", "anything but",
    "everything but", "all but", "anything except", "everything except", "less", "fewer", "no more",
    "no longer", "enough of", "had enough of", "tired of", "sick of", "fed up with", "bored of",
    "bored with", "allergic to", "instead of", "rather than", "save for", "steer clear of",
    "stay away from", "keep away from", "too much", "too many", "don't want no", "don't need no",
    "no thanks", "no thank you", "no way", "stop recommending", "stop showing", "not my thing",
    "not for me", "not so much", "isn't for me", "isn't my thing", "not my cup of tea", "excluded",
    "need not apply", "seen enough", "heard enough", "read enough", "used to love", "used to like",
    "used to enjoy", "i used to love", "i used to like",
    "不要", "不想", "不想要", "不必", "不用", "不需要", "不希望", "不喜欢", "不爱", "不考虑",
    "不能有", "不能是", "别", "别给我", "勿", "请勿", "拒绝", "讨厌", "厌恶", "反感", "痛恨",
    "受不了", "受够了", "看腻了", "听腻了", "腻了", "厌倦", "避免", "避开", "排除", "除了", "少点",
    "少一点", "少一些", "少些", "少来", "远离", "免谈", "就算了", "算了", "除外", "不行", "千万别",
    "并非", "谢绝", "我怕", "害怕", "不感兴趣", "没兴趣", "没有兴趣", "无感", "不想再看",
    "不想再听", "不想再",
)  # fmt: skip
SPARING = ("不要", "不想要", "不需要", "别给我", "别")
"""Unwanted, and end at 的: 不要爱情的喜剧 asks for a comedy."""

NOT = (  # auxiliaries: a verb of wanting may follow
    "not", "never", "neither", "nor", "cannot", "can't", "cant", "don't", "dont", "do not",
    "doesn't", "doesnt", "does not", "didn't", "didnt", "isn't", "isnt", "is not", "aren't",
    "arent", "are not", "wasn't", "wasnt", "weren't", "won't", "wouldn't", "would not", "shouldn't",
    "should not", "couldn't", "could not", "haven't", "hasn't", "hadn't", "ain't", "not too",
    "not too much", "not too many", "not very", "not so", "not overly", "not really", "not that",
    "hardly", "barely",
    "不", "不是", "不太", "不那么", "不怎么", "不够", "不是很", "从不", "绝不", "不会", "没",
    "没那么",
)  # fmt: skip
LACKING = (  # inside something unwanted, they turn the sign back
    "no", "nothing", "none of", "without", "without any", "with no", "without too much", "w/o",
    "minus", "sans", "lacking", "lacks", "devoid of", "free of", "free from",
    "没有", "没什么", "不带", "不含", "不包含", "不涉及", "毫无", "缺乏", "缺少",
)  # fmt: skip
WANTED = (
    "i like", "i love", "i want", "i'd like", "i'd love", "i would like", "i would love", "i enjoy",
    "i need", "i prefer", "i'd prefer", "i would prefer", "i adore", "i liked", "i loved",
    "i enjoyed", "i feel like", "i fancy", "i'm after", "i'm looking for", "i am looking for",
    "i'm searching for", "i'm into", "i am into", "i'm in the mood for", "i am in the mood for",
    "i'm interested in", "i am interested in", "i'm a fan of", "i am a fan of", "i'm keen on",
    "i'm fond of", "we like", "we love", "we want", "we'd like", "we'd love", "we would like",
    "we enjoy", "we need", "we prefer", "we're looking for", "she likes", "he likes", "they like",
    "she loves", "he loves", "they love", "she wants", "he wants", "they want", "would like",
    "would love", "looking for", "searching for", "in the mood for", "interested in", "big fan of",
    "a fan of", "can't get enough of", "cannot get enough of", "never get enough of",
    "can't wait for", "can't wait to see", "can't wait to read", "can't go wrong with",
    "never tire of", "never tired of", "not only", "not just", "not merely", "not simply",
    "nothing but", "wouldn't mind", "would not mind", "nothing beats", "nothing like",
    "i listen to", "i only listen to", "i watch", "i read", "like:", "likes:", "loves:", "wants:",
    "喜欢", "我喜欢", "喜爱", "最爱", "超爱", "热爱", "爱看", "爱听", "爱读", "我爱", "想看",
    "想听", "想读", "想买", "想要", "想找", "想玩", "我想", "我要", "我需要", "希望", "偏好",
    "钟爱", "偏爱", "最好是", "来点", "来些", "来一些", "来一部", "来一本", "多点", "多一点",
    "多一些", "多些", "更多", "不只", "不只是", "不仅", "不仅是", "不仅仅是", "不单是", "不光是",
    "不止", "不止是", "迷上了", "感兴趣", "百看不厌", "看不够", "听不够", "忍不住想看", "少不了",
    "离不开", "不能没有", "只要", "只想看", "只看", "只听", "买点", "想看点", "想听点", "想买个",
    "想找点", "来个",
)  # fmt: skip
TOLERATED = (
    "don't mind", "dont mind", "do not mind", "doesn't mind", "not mind", "don't care about",
    "do not care about", "don't care if", "don't care whether", "don't care how", "ok with",
    "okay with", "fine with", "no problem with", "no matter", "regardless of", "not sure",
    "don't know", "dont know", "do not know", "not sure about", "doesn't have to", "don't have to",
    "does not have to", "doesn't need to be", "need not be", "haven't seen", "haven't read",
    "haven't heard", "have not seen",
    "不介意", "不在乎", "不在意", "不反对", "不排斥", "不怕", "无所谓", "没关系", "不管", "不论",
    "无论", "不知道", "不确定", "可以接受", "不清楚", "不一定要", "不一定",
)  # fmt: skip
CONTENT = (  # words that hold a cue and are none
    "not bad", "not to mention", "why not", "whether or not", "or not", "no doubt", "no problem",
    "no problems", "no wonder", "no nonsense", "no-nonsense", "no one", "no complaints",
    "can't complain", "can't beat", "never mind", "never fails", "never ceases", "never gets old",
    "couldn't be happier", "couldn't be better", "could not be happier", "couldn't ask for more",
    "can't go wrong", "less than", "more or less", "no less", "no more than", "not more than",
    "no less than", "no fewer than",
    "不错", "不敢", "不同", "不断", "不少", "不久", "不朽", "不可思议", "不一样", "不得了",
    "不得不", "不由得", "不愧", "不凡", "不俗", "不妨", "不惜", "不知不觉", "不可或缺", "不能错过",
    "不容错过", "不可多得", "不解之缘", "不屈", "不幸", "不动产", "不锈钢", "不倒翁", "不二",
    "不夜城", "不停", "不再", "不如", "忍不住", "对不起", "了不起", "差不多", "说不定", "舍不得",
    "来不及", "是不是", "要不要", "好不好", "会不会", "可不可以", "要不", "没错", "没问题",
    "没想到", "没事", "没完没了", "分别", "别致", "别墅", "别人", "个别", "级别", "区别", "类别",
    "性别", "告别", "别具一格", "别具匠心", "别有", "离别", "识别", "辨别", "别样", "别开生面",
    "少不更事", "不了情", "太空", "太阳", "太极", "太平", "太子", "太太", "都市", "都城", "和平",
    "和谐", "和声", "和弦", "可爱", "可怕", "可靠", "可乐", "想象", "想法", "要塞", "要素", "要命",
    "有趣", "有声", "有机", "有意思", "有深度", "还珠", "还原", "看门", "更衣", "是非", "就业",
    "找回", "找茬", "我们俩", "了解", "但丁", "很多", "超级英雄", "超级市场", "再见",
)  # fmt: skip
REQUESTS = (  # no content, at the beginning of a clause and after a cue
    "please", "pls", "me some", "us some", "me a few", "us a few", "only", "recommend",
    "recommend me", "recommend us", "recommend some", "recommend me some", "suggest", "suggest me",
    "suggest me some", "suggest some", "give me", "give me some", "show me", "show me some",
    "find me", "find me some", "get me some", "bring me", "can you", "could you", "would you",
    "can i get", "can i have", "do you have", "have you got", "is there", "are there", "i would",
    "i do", "i", "i'd", "i'd rather", "we'd rather", "i'm", "i am", "we", "we are", "want", "need",
    "want to watch", "want to read", "want to hear", "to watch", "to see", "to read", "to hear",
    "to listen to", "to play", "to buy", "watching", "reading", "listening to", "hi", "hello",
    "hey", "dear", "thanks", "thank you", "something", "anything", "anything with", "stuff",
    "something with", "something that is", "something that's", "some", "any", "more", "a few",
    "a lot of", "lots of", "maybe", "perhaps", "really", "just", "also", "and", "or", "then", "so",
    "well", "but", "yet", "still", "but also", "and also", "even", "although", "though", "however",
    "as long as it is", "as long as it's", "it should be", "should be", "it is", "it's", "they are",
    "they're", "there is", "there are", "there should be", "with", "to be", "what should i watch",
    "what should i read", "what should i buy", "what can you recommend", "something else",
    "anything else", "now",
    "我", "我们", "请", "麻烦", "请问", "请推荐", "推荐", "推荐一下", "推荐点", "推荐一些",
    "推荐一部", "推荐几部", "推荐几本", "推荐一本", "推荐几首", "推荐我", "给我", "给我推荐",
    "给点", "帮我", "帮我找", "帮忙", "找", "找一些", "找一部", "找几部", "有没有", "有什么",
    "能不能", "可以", "能否", "一些", "一点", "一部", "一本", "一首", "一款", "一个", "几部",
    "几本", "几首", "几款", "几个", "任何", "什么", "什么样的", "类似", "你好", "您好", "谢谢",
    "你们", "看", "看看", "有", "是", "要", "想", "也", "还", "还有", "和", "而且", "以及", "并且",
    "都", "就", "最好", "太", "很", "那种", "那些", "这种", "这些", "的", "了", "非常", "特别",
    "比较", "更", "平时", "平常", "一直", "最近", "今天", "今晚", "现在", "对", "有点", "超级",
    "超", "尤其", "买个", "看点", "看部", "看个", "来部", "来本", "来首", "听点", "找点", "找个",
    "找部", "找本", "找首", "给我找", "给我找点", "读点", "没看过的", "没听过的", "没读过的", "再",
)  # fmt: skip
VERBS = (  # after an auxiliary: "don't | want to see", 不 | 想看
    "like", "love", "liked", "loved", "enjoyed", "cared for", "want", "want to", "enjoy", "need",
    "need to", "care for", "really like", "a fan of", "a big fan of", "fans of", "fan of", "into",
    "interested in", "keen on", "fond of", "in the mood for", "looking for", "recommend", "suggest",
    "show me", "give me", "stand", "bear", "watch", "see", "read", "listen to", "buy", "have",
    "has", "include", "contain", "be", "ever", "want any", "like to", "feel like", "tolerate",
    "喜欢", "喜欢看", "喜欢听", "想", "想看", "想听", "想要", "想买", "爱看", "要", "看", "听",
    "买", "推荐", "给我推荐", "再推荐", "再", "希望", "需要", "给我", "感兴趣", "爱", "考虑", "对",
)  # fmt: skip
CONTRASTS = (
    "but", "however", "although", "whereas",
    "但", "但是", "可是", "然而", "不过", "而是", "只是", "反而",
)  # fmt: skip
CLOSERS = (  # end what 除了 covers
    "is fine", "are fine", "is ok", "are ok", "is okay", "will do", "anything goes",
    "以外", "之外", "都可以", "都行", "都好", "都看", "都听", "都喜欢", "其他的", "其它的", "其他",
    "其它", "就行", "就好", "就可以",
)  # fmt: skip
BEYOND = ("还", "也", "还有")  # 除了…还 means "and besides", not "except"
ADVERBS = frozenset((
    "really", "just", "also", "always", "absolutely", "usually", "mostly", "still", "particularly",
    "especially", "generally", "truly", "quite", "actually", "do", "very", "much", "even", "simply",
))  # fmt: skip
ABBREVIATED = frozenset(("mr", "mrs", "ms", "dr", "st", "vs", "no", "e.g", "i.e", "g", "jr", "vol"))
BEFORE_CUE = frozenset((
    "that", "which", "who", "is", "are", "was", "were", "be", "with", "and", "or", "the", "a", "an",
    "to", "of", "i", "we", "it", "they", "there", "but", "do", "does", "should", "must", "would",
    "can", "will", "has", "have", "i'm", "i've", "preferably", "'", "as", "if", "so", "am",
    "和", "是", "有", "我", "也", "又", "而", "且", "要", "但", "对", "都", "就", "很", "太", "更",
))  # fmt: skip
JOINTS = frozenset(("and", "or", "nor", "和", "也", "或"))
PRONOUNS = frozenset(("it", "them", "this", "that", "these", "those", "one", "它", "这", "那"))
LAST = frozenset((
    "please", "pls", "thanks", "thank", "you", "and", "or", "though", "too", "either",
    "的", "了", "吧", "啊", "呢", "吗", "呀", "哦", "啦", "嘛", "喔", "哈", "谢", "等", "等等",
))  # fmt: skip
