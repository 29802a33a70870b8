"""The words that the generated passages are made of: data only."""

# ruff: noqa: SIM905 (a list of words reads best as a line of words)

BOYS = (
    "Tom Jack Peter Harry George Arthur Henry William James Charles Edward Robert David Daniel Samuel Oliver "
    "Martin Philip Ralph Hugh Walter Albert Frank Simon Adam Luke Mark Paul Felix Oscar"
).split()
GIRLS = (
    "Anna Mary Alice Lucy Emma Jane Sarah Kate Ellen Rose Grace Clara Nora Ruth Helen Martha Susan Laura "
    "Julia Flora Edith Agnes Betty Polly Dora Lily Ivy Molly Hannah Sophie"
).split()
SURNAMES = (
    "Parker Baker Carter Cooper Fisher Turner Walker Hunter Miller Taylor Brown Green Black White Wood Hill "
    "Stone Field Brook Marsh Bell Cross Frost Snow Winter King Knight Page Fox Wolf Bird Swan Lamb Price Rich "
    "Young Long Short Strong Sharp"
).split()

CAPITALS = dict(
    pair.split(":")
    for pair in (
        "France:Paris England:London Italy:Rome Spain:Madrid Germany:Berlin Russia:Moscow Japan:Tokyo "
        "China:Beijing Egypt:Cairo Greece:Athens Portugal:Lisbon Ireland:Dublin Scotland:Edinburgh Wales:Cardiff "
        "Norway:Oslo Sweden:Stockholm Denmark:Copenhagen Finland:Helsinki Poland:Warsaw Austria:Vienna "
        "Hungary:Budapest Turkey:Ankara Cuba:Havana Peru:Lima Chile:Santiago Kenya:Nairobi Canada:Ottawa "
        "Belgium:Brussels Holland:Amsterdam Iran:Tehran Iraq:Baghdad Syria:Damascus Nepal:Kathmandu "
        "Vietnam:Hanoi Korea:Seoul Thailand:Bangkok Ukraine:Kyiv Romania:Bucharest Bulgaria:Sofia "
        "Serbia:Belgrade Ghana:Accra Morocco:Rabat Tunisia:Tunis Libya:Tripoli Ecuador:Quito Uganda:Kampala "
        "Jordan:Amman Lebanon:Beirut Senegal:Dakar Latvia:Riga"
    ).split()
)
YOUNG = dict(
    pair.split(":")
    for pair in (
        "cat:kitten dog:puppy cow:calf sheep:lamb horse:foal goat:kid pig:piglet hen:chick duck:duckling "
        "goose:gosling lion:cub bear:cub tiger:cub fox:cub deer:fawn swan:cygnet frog:tadpole kangaroo:joey "
        "elephant:calf whale:calf seal:pup hare:leveret donkey:foal bat:pup otter:pup zebra:foal beaver:kit "
        "giraffe:calf leopard:cub panda:cub penguin:chick camel:calf mouse:pup moose:calf mare:foal sow:piglet "
        "robin:chick ewe:lamb"
    ).split()
)
COLOURS = {
    "white": ["snow", "milk", "salt", "chalk", "cotton", "flour", "a swan", "a daisy"],
    "green": ["grass", "moss", "a leaf", "a frog", "a pea", "a cucumber", "an emerald", "a lettuce"],
    "blue": ["the sky", "the sea", "a sapphire", "a bluebell"],
    "black": ["coal", "soot", "tar", "a crow", "a raven", "ink"],
    "red": ["blood", "a tomato", "a ruby", "a strawberry", "a cherry", "a poppy", "a fire engine"],
    "yellow": ["butter", "custard", "a lemon", "a banana", "a canary", "a buttercup", "a daffodil", "the sun"],
    "orange": ["a carrot", "a pumpkin", "an apricot"],
    "brown": ["chocolate", "mud", "bark", "a chestnut", "coffee"],
    "purple": ["lavender", "a plum", "an eggplant"],
    "pink": ["a pig", "a flamingo"],
    "grey": ["ash", "lead", "an elephant", "a mouse"],
}
OPPOSITES = [
    pair.split("/")
    for pair in (
        "hot/cold big/small long/short fast/slow old/young happy/sad day/night black/white light/dark up/down "
        "left/right in/out on/off full/empty rich/poor wet/dry hard/soft strong/weak early/late first/last "
        "good/bad high/low near/far open/shut push/pull give/take buy/sell win/lose love/hate laugh/cry "
        "clean/dirty thick/thin wide/narrow deep/shallow loud/quiet sweet/bitter sharp/blunt rough/smooth "
        "wise/foolish kind/cruel true/false north/south east/west summer/winter morning/evening friend/enemy "
        "question/answer peace/war life/death begin/end come/go remember/forget above/below before/after "
        "inside/outside always/never everything/nothing yes/no safe/dangerous easy/difficult awake/asleep "
        "alive/dead beautiful/ugly polite/rude same/different top/bottom front/back tame/wild straight/crooked "
        "tight/loose float/sink"
    ).split()
]

DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = "January February March April May June July August September October November December".split()
NUMBERS = (
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen twenty"
).split()

OBJECTS = (
    "ball book cake hat coat basket flower apple letter lamp knife spoon cup bell drum kite ring key coin map "
    "box bag stick rope doll boat pencil candle mirror ladder bottle blanket button feather ribbon whistle "
    "penny purse stone shell"
).split()
PLURALS = {
    "dog": "dogs", "cat": "cats", "boy": "boys", "girl": "girls", "horse": "horses", "bird": "birds",
    "king": "kings", "farmer": "farmers", "soldier": "soldiers", "sailor": "sailors", "teacher": "teachers",
    "box": "boxes", "key": "keys", "book": "books", "flower": "flowers", "tree": "trees", "chair": "chairs",
    "table": "tables", "lamp": "lamps", "picture": "pictures", "apple": "apples", "boat": "boats",
    "house": "houses", "window": "windows", "door": "doors", "garden": "gardens", "letter": "letters",
    "child": "children", "man": "men", "woman": "women", "mouse": "mice", "goose": "geese",
}  # fmt: skip
PEOPLE = frozenset("boy girl king farmer soldier sailor teacher child man woman".split())
PLACES = (
    "garden forest market field station school kitchen village castle harbour meadow church mill library "
    "stable bakery shop park farm barn"
).split()
ADJECTIVES = (
    "hungry sleepy angry clever lazy brave gentle noisy lonely thirsty dirty proud tired old young tall fat "
    "thin white black brown grey little big quiet happy sad wild tame strong"
).split()
THING_ADJECTIVES = (
    "red blue green yellow old new heavy broken golden silver wooden round small large pretty dusty empty "
    "shiny dirty clean"
).split()
ANIMALS = "dog cat horse bird cow sheep goat pig hen duck goose lion bear fox wolf mouse rabbit donkey frog owl".split()
ACTIVITIES = [
    "went fishing", "baked a cake", "cleaned the house", "wrote a letter", "planted a tree", "went to the market",
    "mended the fence", "painted the door", "read a long book", "climbed the hill", "visited an old friend",
    "washed the windows", "rode to the village", "played in the snow", "built a small boat", "fed the horses",
]  # fmt: skip
SYLLABLE_STARTS = (
    "b bl br c ch cl cr d dr f fl fr g gl gr h j k l m n p pl pr qu r s sh sl sn sp st t th tr tw v w y z".split()
)
SYLLABLE_MIDDLES = "a e i o u a e i o u ee oo ai ar or".split()
SYLLABLE_ENDS = "b ck d f g k l ll m n ng nd p r rk rt s sh t x zz nk mp".split()
PIECES = (
    "ing tion ed ly er est ness ment able un re pre dis con per for sub in out over under an en el om ut ish ex ab th "
    "the of to he she it was but not with had her his all they said up so what then there which when very could "
    "would little some who them come down about good see know like man did time go now been into through "
    "nothing upon great again before never must how only after thought made long old away back came first "
    "still way right well even such own last seemed hand eyes face night house head door room day life heart"
).split()
