"""A small catalogue to ask: films with genres, years, people, running times and prices."""

import numpy as np

from warmstart.data import Dataset
from warmstart.recommenders import Recommender

ROWS = [
    # id, title, genres, year, director, actors, minutes, price, plot
    (1, "Alien (1979)", "Horror|Sci-Fi", 1979, "Ridley Scott", "Sigourney Weaver", 117, 9.5,
     "A crew in space finds a deadly creature."),
    (2, "Aliens (1986)", "Action|Sci-Fi", 1986, "James Cameron", "Sigourney Weaver", 137, 9.5,
     "Soldiers in space fight many creatures."),
    (3, "Blade Runner (1982)", "Sci-Fi", 1982, "Ridley Scott", "Harrison Ford", 117, 12.0,
     "A quiet detective hunts machines in a dark city."),
    (4, "Matrix, The (1999)", "Action|Sci-Fi", 1999, "Lana Wachowski", "Keanu Reeves", 136, 14.0,
     "A hacker learns that the world is a program."),
    (5, "Star Wars: Episode IV (1977)", "Action|Sci-Fi", 1977, "George Lucas", "Harrison Ford",
     121, 15.0, "Rebels in space fight an empire."),
    (6, "Star Wars: Episode V (1980)", "Action|Sci-Fi", 1980, "George Lucas", "Harrison Ford",
     124, 15.0, "The empire strikes back."),
    (7, "Toy Story (1995)", "Animation|Comedy", 1995, "John Lasseter", "Tom Hanks", 81, 7.0,
     "Toys come alive when nobody looks."),
    (8, "Shrek (2001)", "Animation|Comedy", 2001, "Andrew Adamson", "Mike Myers", 90, 8.0,
     "An ogre rescues a princess."),
    (9, "Titanic (1997)", "Drama|Romance", 1997, "James Cameron", "Kate Winslet", 194, 11.0,
     "Two people fall in love on a ship that sinks."),
    (10, "Titanic (1953)", "Drama", 1953, "Jean Negulesco", "Clifton Webb", 98, 5.0,
     "A family quarrels on a ship that sinks."),
    (11, "Casablanca (1942)", "Drama|Romance", 1942, "Michael Curtiz", "Humphrey Bogart", 102, 6.0,
     "A man meets an old love in war."),
    (12, "Grease (1978)", "Comedy|Musical", 1978, "Randal Kleiser", "John Travolta", 110, 6.0,
     "Two pupils sing and dance."),
    (13, "异形大战 (2004)", "Horror|Sci-Fi", 2004, "王家卫", "梁朝伟", 101, 8.0,
     "潜水艇里的怪物。"),
    (14, "High Noon (1952)", "Western", 1952, "Fred Zinnemann", "Gary Cooper", 85, 4.0,
     "A marshal waits for a train."),
    (15, "No Country for Old Men (2007)", "Crime|Western", 2007, "Joel Coen", "Josh Brolin", 122,
     13.0, "A hunter finds money in the desert."),
    (16, "Psycho (1960)", "Horror", 1960, "Alfred Hitchcock", "Anthony Perkins", 109, 6.5,
     "A woman stops at a motel."),
]  # fmt: skip
COLUMNS = ("item", "title", "genres", "year", "director", "actors", "runtime", "price", "plot")
SCHEMA = {
    "items": {
        "genres": {"kind": "multi-category", "separator": "|"},
        "director": {"kind": "multi-category", "separator": ", "},
        "actors": {"kind": "multi-category", "separator": ", "},
        "plot": "text",
        "year": "number",
        "runtime": "number",
        "price": "number",
    }
}


def table():
    """Return the films as columns."""
    return dict(zip(COLUMNS, map(list, zip(*ROWS, strict=True)), strict=True))


def dataset():
    """Return the films with sixty users, of whom half like what flies in space."""
    rng = np.random.default_rng(0)
    rows = {"user": [], "item": []}
    for user in range(60):
        weights = np.ones(len(ROWS))
        weights[:6] *= 4 if user % 2 else 0.5
        weights[8] = 3  # the Titanic that people know
        for item in rng.choice(len(ROWS), 5, replace=False, p=weights / weights.sum()):
            rows["user"].append(user)
            rows["item"].append(ROWS[item][0])
    return Dataset.from_tables(rows, table(), schema=SCHEMA)


def recommender(method="itemknn"):
    """Return a model of them that is fitted in no time."""
    return Recommender(method).fit(dataset(), progress=False)
