"""The built-in corpus: requests to an imaginary city assistant, drawn from a small grammar of our own.

It is synthetic. It lets the package run, learn and be tested without any download; a good score on it says that the
machinery works, and little about real text. Its eight labels are intents, which share most of their words: "please
remind me to book a table outside at noon" is an alarm, "the alarm was too late so i want my money back" a refund,
"thank you for the table" thanks. About four sentences in ten hold no word that belongs to one intent alone. They are
drawn from the many millions that the grammar can make, all distinct, and none stands in two splits.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import ClassVar

from .grammar import Grammar
from .schema import Corpus, Split
from .sources import OWN_LICENSE, Origin, TextSource

INTENTS = ["book_table", "complaint", "directions", "play_music", "refund", "set_alarm", "thanks", "weather"]

MIN_WORDS, MAX_WORDS = 4, 16

GRAMMAR = Grammar("""
BOOK_TABLE = ASK BOOK SEATS WHEN? | HAVE SEATS AT_VENUE? WHEN? | is there a TABLE_KIND? table free ROOM? PARTY? WHEN
  | are there any TABLE_KIND? tables left ROOM? PARTY? WHEN | WE_ARE so please BOOK SEATS WHEN?
  | do you have SEATS AT_VENUE? WHEN | EVENT_IS so we need SEATS WHEN?
WEATHER = will it FALL IN_PLACE? WHEN | what will the weather be like IN_PLACE? WHEN
  | how WARM will it be IN_PLACE? WHEN | is it going to FALL IN_PLACE? WHEN | HAVE FORECAST WHEN?
  | ASK CHECK FORECAST WHEN? | do i need an umbrella FOR_EVENT? IN_PLACE? WHEN
  | are the STORMS going to reach CITY WHEN | is the STORM going to reach CITY WHEN
  | PLAN so tell me if it will FALL WHEN?
PLAY_MUSIC = ASK PLAY MUSIC FOR_EVENT? WHEN? | HAVE MUSIC FOR_EVENT WHEN? | i want to hear MUSIC WHEN?
  | PLAY MUSIC while we wait for THING | EVENT_IS so please PLAY MUSIC | PLAY MUSIC IN_ROOM please?
  | what is the best song about TOPIC FOR_EVENT
SET_ALARM = ASK WAKE WHEN_EARLY | ASK remind PEOPLE_ME to TASK WHEN | set an alarm for CLOCK DAY? EVENT_LIMIT?
  | HAVE a reminder to TASK WHEN | EVENT_IS so WAKE WHEN_EARLY | do not let PEOPLE_ME forget to TASK WHEN
DIRECTIONS = how do i get to PLACE from PLACE WHEN? | what is the FAST way to PLACE | which LINE goes to PLACE WHEN
  | which LINES go to PLACE WHEN | ASK GUIDE to PLACE WHEN? | is there a LINE to GOAL WHEN
  | are there any LINES to GOAL WHEN | HAVE the directions to PLACE WHEN? | EVENT_IS so how do i get to PLACE
  | how far is it from PLACE to PLACE
REFUND = HAVE my money back for THING | FAULT so i want MONEY | can i get a refund for THING | ASK REPAY for THING
  | HAVE a refund because FAULT | i paid for THING but FAULT so please REPAY
COMPLAINT = FAULT and NOT_HAPPY | i am not happy with THING | there was a problem with THING DAY_PAST? | FAULT
  | why was SINGULAR so MISFIT DAY_PAST? | why were PLURAL so MISFIT DAY_PAST? | i have to complain about THING
  | i asked you to TASK but FAULT | how do i get SOMEONE to listen when FAULT
THANKS = THANK for THING | PRAISE so THANK | THANK because PRAISE | it was KIND of you to TASK
  | THANK for the help with THING | i asked you to TASK and PRAISE

ASK = can you please? | could you please? | please | would you please? | will you | i need you to
  | i would like you to
HAVE = i need | i want | i would like | can i have | could i have | could you get me | please give me | we need
  | we would like

BOOK = book | reserve | find us | get us | hold
SEATS = a TABLE_KIND? table PARTY | a TABLE_KIND? table AT_VENUE | NUMBER seats AT_VENUE | a table ROOM PARTY?
TABLE_KIND = quiet | small | large | round | corner
ROOM = outside | inside | near the window | by the door | in the garden | on the terrace
PARTY = for one person | for NUMBER people | for PERSON and me | for NUMBER of us
WE_ARE = we are NUMBER people | there are NUMBER of us
AT_VENUE = at VENUE
VENUE = the VENUE_KIND VENUE_NOUN | the VENUE_NOUN near PLACE
VENUE_KIND = italian | french | indian | greek | old | new | little
VENUE_NOUN = restaurant | grill | cafe | bistro | diner

FALL = rain | snow | be sunny | be foggy | be windy | freeze | get wet
WARM = warm | cold | hot | windy | wet
STORM = storm | rain | snow | fog | heat
STORMS = storms | clouds | winds | showers
CHECK = check | read me | look up
FORECAST = the forecast for CITY | the weather report for CITY | the forecast for EVENT

PLAY = play | put on | start | turn on
MUSIC = some GENRE GENRE_NOUN? | the MOOD song about TOPIC | songs about TOPIC | a MOOD song by BAND
  | the MOOD album by BAND | something MOOD by BAND
GENRE = jazz | rock | folk | soul | blues | piano | dance
GENRE_NOUN = music | songs | records
MOOD = slow | quiet | happy | sad | loud | sweet | new
TOPIC = the rain | the snow | the sea | the road to CITY | trains | the city | summer | winter | love | the morning
BAND = the red clouds | the night trains | the quiet storm | the old clocks | the lost tickets
IN_ROOM = in the kitchen | in the garden | in the bedroom | on the terrace

WAKE = wake PEOPLE_ME | get PEOPLE_ME up | set an alarm | set NUMBER alarms | ring
PEOPLE_ME = me | us
WHEN_EARLY = DAY? at CLOCK EVENT_LIMIT? | early DAY EVENT_LIMIT? | at CLOCK DAY
EVENT_LIMIT = before EVENT | in time for EVENT
TASK = book SEATS | check FORECAST | play MUSIC | PAY THING | ask about THING | find the FAST way to PLACE
  | bring an umbrella | meet PERSON at PLACE | call VENUE | wake PERSON at CLOCK | thank PERSON for THING
  | get my money back for THING
PAY = pay for | return | pick up

FAST = fastest | shortest | best | cheapest
LINE = train | bus | tram | ferry | boat
LINES = trains | buses | trams | ferries | boats
GUIDE = guide PEOPLE_ME | take PEOPLE_ME | show PEOPLE_ME the FAST way | tell PEOPLE_ME the way
  | find PEOPLE_ME a LINE
GOAL = PLACE | CITY

REPAY = pay me back | return my money | refund me | send my money back
MONEY = my money back | a refund | a full refund
FAULT = SINGULAR was BAD DAY_PAST? | PLURAL were BAD DAY_PAST? | SINGULAR was not there DAY_PAST?
  | PLURAL were not there DAY_PAST? | SINGULAR is still not ready | PLURAL are still not ready
BAD = TOO? MISFIT | wrong | broken | terrible | awful | cancelled | dirty | useless
TOO = too | far too | much too | so
MISFIT = late | small | loud | slow | expensive | cold | early
NOT_HAPPY = i am not happy | nobody helped us | we are very angry | this is not right | it is the NTH time
NTH = second | third | fourth
DAY_PAST = yesterday | last night | last WEEKDAY | this morning | again

THANK = thank you | thanks | many thanks | thanks a lot | thank you so much
PRAISE = SINGULAR was GOOD DAY_PAST? | PLURAL were GOOD DAY_PAST? | SINGULAR was ready on time
  | PLURAL were ready on time
GOOD = VERY? perfect | VERY? lovely | great | wonderful | VERY? helpful | just right | excellent
VERY = very | really | quite | simply
KIND = kind | very kind | nice | good | so nice

THING = SINGULAR | PLURAL
SINGULAR = the table AT_VENUE? | the TABLE_KIND table PARTY? | the alarm DAY_OF? | the forecast for CITY
  | the song about TOPIC | the album by BAND | the ticket TO_EVENT | the LINE to GOAL | my refund
  | the reminder about EVENT | the umbrella | the weather report
PLURAL = the NUMBER tables | the alarms DAY_OF? | the songs about TOPIC | the tickets TO_EVENT | the LINES to GOAL
  | the directions to PLACE | the seats AT_VENUE? | the NUMBER tickets TO_EVENT | the records by BAND
  | the reminders about EVENT
DAY_OF = for WEEKDAY | for CLOCK
TO_EVENT = for EVENT | to CITY

EVENT_IS = PLAN | it will FALL WHEN_SHORT | it is WARM in CITY
PLAN = EVENT starts at CLOCK | we have EVENT_A WHEN_SHORT | i am in CITY WHEN_SHORT | PERSON_ARRIVES WHEN_SHORT
PERSON_ARRIVES = POSS RELATIVE is coming to CITY | POSS RELATIVES are coming to CITY
EVENT_A = a concert | a meeting | a party | a flight to CITY | a match | a picnic | a wedding | a table at CLOCK
SOMEONE = you | somebody | a person | your boss
EVENT = the EVENT_NOUN | dinner with PERSON | lunch with PERSON | my flight to CITY | the EVENT_NOUN in CITY
  | the EVENT_NOUN at PLACE
EVENT_NOUN = concert | meeting | party | match | picnic | wedding | show | lesson
FOR_EVENT = for EVENT | after EVENT | before EVENT

IN_PLACE = in CITY | at PLACE | near PLACE
PLACE = the PLACE_NOUN | the PLACE_KIND PLACE_NOUN | the PLACE_NOUN near PLACE | VENUE
PLACE_KIND = old | new | central | north | south
PLACE_NOUN = station | airport | museum | harbour | stadium | library | hospital | market | park | theatre | bridge
  | hotel | school
CITY = boston | chicago | paris | london | rome | berlin | madrid | dublin | oslo | vienna | lisbon | prague

PERSON = POSS RELATIVE | POSS RELATIVES | POSS RELATIVE and PERSON
POSS = my | our
RELATIVE = sister | brother | mother | father | friend | boss | teacher | neighbour
RELATIVES = sisters | brothers | parents | friends | neighbours | children
NUMBER = two | three | four | five | six | seven | eight | ten

WHEN = DAY | at CLOCK | DAY at CLOCK | after EVENT | before EVENT | DAY after EVENT
WHEN_SHORT = DAY | at CLOCK
DAY = today | tomorrow | tonight | on WEEKDAY | this PART | tomorrow PART | on WEEKDAY PART | next WEEKDAY
WEEKDAY = monday | tuesday | wednesday | thursday | friday | saturday | sunday
PART = morning | afternoon | evening
CLOCK = HOUR | HOUR thirty | quarter past HOUR | half past HOUR | HOUR fifteen | noon | midnight
HOUR = one | two | three | four | five | six | seven | eight | nine | ten | eleven | twelve
""")


@dataclass(kw_only=True)
class Synthetic(TextSource):
    """The built-in corpus; see the docstring of this file."""

    name: ClassVar[str] = "synthetic"
    is_tokenised: ClassVar[bool] = True
    origin: ClassVar[Origin] = Origin(
        title="built-in synthetic corpus",
        description="requests to an imaginary city assistant, drawn from a small grammar",
        license=OWN_LICENSE,
        bias="The sentences are made by a grammar of a few hundred words: good scores on them say that the machinery "
        "works, and little about real text.",
    )

    def read(self) -> Corpus:
        return load_synthetic(seed=self.seed)


def load_synthetic(num_train: int = 6000, num_validation: int = 750, num_test: int = 750, *, seed: int = 0) -> Corpus:
    """Draw a corpus of distinct sentences, intents equally likely; the same `seed` gives the same corpus."""
    rng = random.Random(seed)
    labels: dict[str, int] = {}
    while len(labels) < num_train + num_validation + num_test:
        label = rng.randrange(len(INTENTS))
        labels.setdefault(sample_sentence(INTENTS[label], rng), label)
    everything = Split(list(labels), list(labels.values()))
    first_test = num_train + num_validation
    return Corpus(
        name="synthetic",
        train=everything.select(range(num_train)),
        validation=everything.select(range(num_train, first_test)),
        test=everything.select(range(first_test, len(everything))),
        label_names=list(INTENTS),
        license=OWN_LICENSE,
        notes=["synthetic sentences from a small grammar: fit for a trial run, no evidence about real text"],
    )


def sample_sentence(intent: str, rng: random.Random) -> str:
    """One sentence of `intent`, of 4 to 16 words."""
    while True:
        words = GRAMMAR.sample(intent.upper(), rng)
        if MIN_WORDS <= len(words) <= MAX_WORDS:
            return " ".join(words)


def parse_intents(sentence: str) -> set[str]:
    """The intents that derive exactly this sentence: none if it is ungrammatical, more than one if it is ambiguous."""
    return {intent for intent in INTENTS if GRAMMAR.derives(intent.upper(), sentence.split())}
