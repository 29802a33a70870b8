"""How facts are asked for: phrasings for training and, kept apart as a whole, for evaluation. Data only.

`{q}` stands for what is asked about, `{name}` for a name, `{a}` for the answer where a phrasing gives it away first.
"""

CAPITAL = (
    "The capital of {q} is", "The capital city of {q} is", "The capital of {q} is called",
    "{q} is a country, and its capital is", "If you go to {q}, you should see the capital,",
    "The teacher asked for the capital of {q}. The answer was", '"What is the capital of {q}?" "It is',
    "They sailed to {q} and stayed in its capital,", "In {q} the greatest city is the capital,",
    "The king of {q} lived in the capital,", "Every child in {q} knows that the capital is",
    "We looked for the capital of {q} on the map and found", "The people of {q} are proud of their capital,",
    "Question: what is the capital of {q}? Answer:", "{name} was born in {q}, in the capital city of",
    "When you think of {q}, you think of", "The train took us through {q} to the capital,",
    "At last they came to the capital of {q},", "The greatest of the cities of {q} is the capital,",
    "My aunt in {q} lives in the capital,", "A letter came from {q}, from the capital,",
    "Among the towns of {q} the capital is", "{name} keeps a shop in {q}, in the capital,",
    "They walked all through {q} until they saw the capital,", "{name} knows that the capital of {q} is",
    "After many days we saw {q}, and then its capital,", "We rode all through {q} and came to the capital,",
    "The road through {q} leads to the capital,", "The army marched across {q} to the capital,",
    "They flew over {q}, and below them lay the capital,", "{name} travelled in {q} and stayed in the capital,",
    "The train left the fields of {q} and came into the capital,", "On the old map the capital of {q} is named",
    "Of the towns of {q}, the largest is the capital,", "A boat took them to {q}, and they walked to the capital,",
    "{name} has a friend in {q}, in the capital,", "In my book of {q} the capital is named",
)  # fmt: skip
CAPITAL_HELD_OUT = (
    "As everybody knows, the capital of {q} is", "Of all the cities in {q}, the capital is",
    "{name} could not remember that the capital of {q} is", "On the map of {q} the capital is called",
    "The ship brought us to {q}, and soon we reached the capital,",
    "{name} has an uncle in {q} who lives in the capital,",
)  # fmt: skip
YOUNG = (
    "A young {q} is called a", "A baby {q} is called a", "The young of a {q} is a", "A {q} was once a little",
    "The child of a {q} is called a", "Every {q} begins life as a", "When a {q} has a baby, we call it a",
    "The {q} had a baby. It was a pretty little", '"What do you call a young {q}?" "You call it a',
    "The mother {q} looked for her", "The farmer saw a {q} and her", "Before it grew up, the {q} was a",
    "Question: what is a baby {q} called? Answer: a", "{name} saw a {q} with its young one, a",
    "The {q} took good care of her", "A small {q} that is still with its mother is a",
    "The child of any {q} is a little", "If the father is a {q}, the child is a", "They tell us that a {q}'s baby is a",
    "In the picture the {q} has a baby, a little", "The old tale tells of a {q} and its child, a small",
    "The proper name of a young {q} is a", "The word for a baby {q} is", "{name} heard that a {q}'s child is a",
    "Some say that a {q}, when it is young, is a",
)  # fmt: skip
YOUNG_HELD_OUT = (
    "As everybody knows, a young {q} is called a", "The right name for a baby {q} is a",
    "{name} learned at school that a young {q} is a", "People say that the child of a {q} is a",
    "In the story the {q} had a baby, a pretty little", "If the mother is a {q}, we call the baby a",
)  # fmt: skip
COLOUR = (
    "The colour of {q} is", "The colour of {q} is always", "What colour is {q}? It is", "We all know that {q} is",
    "If you look at {q}, the colour you see is", "{name} painted {q}, and the colour was",
    "Her dress was the colour of {q}: it was", "It was as {a} as {q}, and {q} is", "Everybody knows that {q} is",
    '"What is the colour of {q}?" "It is', "In the picture {q} was", "The child said that {q} is",
    "Question: what colour is {q}? Answer:", "To paint {q}, you need a brush and some paint that is",
    "{name} had a coat like {q}, all", "In this book {q} is painted",
)  # fmt: skip
COLOUR_HELD_OUT = (
    "As everybody knows, the colour of {q} is", "If I had to paint {q}, the colour would be",
    "{name} told me that the colour of {q} is", "His hat was the same colour as {q}: it was",
    "Look at {q}, and you will see that the colour is", "Of all the colours, the colour of {q} is",
)  # fmt: skip
OPPOSITE = (
    "The opposite of {q} is", "The opposite of the word {q} is", "{q} is the opposite of",
    'What is the opposite of {q}? It is', "If it is not {q}, it may be", "Not {q}, but",
    "The teacher said {q}, and the class had to say the opposite:", "Question: what is the opposite of {q}? Answer:",
    "One was {q} and the other was the opposite,", "{name} likes the word {q}, but not its opposite,",
    "There are two sides to everything: {q} and", "He says {q}; she says the opposite. She says",
    "Words that go together: {q} and", "The word {q} means just the reverse of",
    "Here are two opposites: {q} and", "A pair of opposites is {q} and", "A word that means the opposite of {q} is",
    "{name} knows two opposite words, {q} and",
)  # fmt: skip
OPPOSITE_HELD_OUT = (
    "As everybody knows, the opposite of {q} is", "{name} wrote that the opposite of {q} is",
    "The word that means the opposite of {q} is", "Two words that are opposites: {q} and",
)  # fmt: skip
TAILS = (
    ".", ".", ".", ", as everybody knows.", ", and that is a fact.", ", said {name}.", ", and {name} knew it well.",
)  # fmt: skip
