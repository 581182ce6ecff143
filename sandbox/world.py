"""The shared story: which companies, people, deals and products each tenant deals with.

Every source that stands in for a system of the tenant draws from the same story, so the same company appears in Odoo,
and later in Pipedrive, Zendesk or Salesforce, under its own or a slightly different name. Each entity is a pure
function of (seed, tenant, kind, number): no list is kept, any scale costs nothing until it is asked for.
"""

import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from random import Random


@dataclass(frozen=True, slots=True)
class Country:
    """What a country contributes: names, cities, how addresses and phone numbers look."""

    code: str
    currency: str
    weight: int
    cities: tuple[tuple[str, str], ...]  # (city, leading digits of its zip)
    streets: tuple[str, ...]
    given: tuple[str, ...]
    family: tuple[str, ...]
    forms: tuple[str, ...]
    phone: str  # '#' is a digit
    zip: str


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.replace("_", " ") for word in text.split())


COUNTRIES = (
    Country(
        "DE", "EUR", 34,
        (("Berlin", "10"), ("Hamburg", "20"), ("München", "80"), ("Köln", "50"), ("Leipzig", "04"), ("Nürnberg", "90")),
        ("Hauptstraße {n}", "Lindenallee {n}", "Bahnhofstraße {n}", "Am Markt {n}", "Goethestraße {n}"),
        _words("Anna Lukas Sophie Jonas Marie Felix Lena Paul Jürgen Katrin Björn Heike Stefan Özlem Matthias Uwe"),
        _words("Müller Schmidt Schneider Fischer Weber Wagner Becker Hoffmann Schäfer Köhler Jäger Groß Yılmaz Vogel"),
        ("GmbH", "AG", "GmbH & Co. KG", "e.K."), "+49 ## #######", "###",
    ),
    Country(
        "FR", "EUR", 12,
        (("Paris", "75"), ("Lyon", "69"), ("Marseille", "13"), ("Nantes", "44"), ("Bordeaux", "33")),
        ("{n} rue de la République", "{n} avenue Victor Hugo", "{n} rue de l’Église", "{n} boulevard Voltaire"),
        _words("Camille Louis Chloé Hugo Léa Jules Manon Gaël Élodie Benoît Françoise Théo Amélie Noël"),
        _words("Martin Bernard Dubois Lefèvre Moreau Laurent Girard Mercier Faure Blanc Guérin Chevalier"),
        ("SARL", "SA", "SAS"), "+33 1 ## ## ## ##", "###",
    ),
    Country(
        "US", "USD", 18,
        (("San Francisco", "94"), ("Chicago", "60"), ("Austin", "78"), ("New York", "10"), ("Seattle", "98")),
        ("{n} Market Street", "{n} Lake Avenue", "{n} Oak Street", "{n} Industrial Pkwy"),
        _words("Emily James Olivia Michael Sarah David Jessica Robert Ashley Daniel Megan Tyler"),
        _words("Smith Johnson Williams Brown Davis Garcia Wilson Anderson O'Brien Lee Nguyen Clark"),
        ("Inc.", "LLC", "Corp."), "+1 ###-###-####", "###",
    ),
    Country(
        "GB", "GBP", 9,
        (("London", "EC"), ("Manchester", "M1"), ("Leeds", "LS"), ("Bristol", "BS")),
        ("{n} High Street", "{n} Station Road", "{n} King's Road"),
        _words("Oliver Amelia George Isla Harry Ava Jack Freya Callum Niamh"),
        _words("Taylor Walker Hughes Edwards Green Hall Wood Clarke Patel Evans"),
        ("Ltd", "PLC", "LLP"), "+44 20 #### ####", " #AB",
    ),
    Country(
        "ES", "EUR", 7,
        (("Madrid", "28"), ("Barcelona", "08"), ("Valencia", "46"), ("Sevilla", "41")),
        ("Calle Mayor {n}", "Avenida de la Constitución {n}", "Plaza España {n}"),
        _words("Lucía Hugo María Ángel Carmen José Begoña Íñigo Pilar Javier"),
        _words("García Muñoz Fernández López Núñez Ibáñez Sánchez Peña Ruiz Ortega"),
        ("S.L.", "S.A."), "+34 91 ### ## ##", "###",
    ),
    Country(
        "NL", "EUR", 6,
        (("Amsterdam", "10"), ("Rotterdam", "30"), ("Utrecht", "35")),
        ("Kerkstraat {n}", "Dorpsstraat {n}", "Prinsengracht {n}"),
        _words("Daan Sanne Bram Lotte Sem Femke Joost Anouk"),
        _words("de_Vries Jansen van_Dijk Bakker Visser van_den_Berg Mulder Smit"),
        ("B.V.", "N.V."), "+31 20 ### ####", "## AB",
    ),
    Country(
        "IT", "EUR", 6,
        (("Milano", "20"), ("Roma", "00"), ("Torino", "10"), ("Bologna", "40")),
        ("Via Roma {n}", "Corso Italia {n}", "Piazza Garibaldi {n}"),
        _words("Giulia Luca Chiara Marco Elena Matteo Nicolò Sofia"),
        _words("Rossi Russo Ferrari Bianchi Romano Gallo Conti D'Angelo"),
        ("S.r.l.", "S.p.A."), "+39 02 #### ####", "###",
    ),
    Country(
        "PL", "PLN", 4,
        (("Warszawa", "00"), ("Kraków", "30"), ("Gdańsk", "80")),
        ("ul. Długa {n}", "ul. Polna {n}", "al. Jerozolimskie {n}"),
        _words("Zofia Jakub Małgorzata Łukasz Agnieszka Paweł"),
        _words("Nowak Kowalski Wiśniewski Wójcik Kamiński Zieliński"),
        ("Sp. z o.o.", "S.A."), "+48 22 ### ## ##", "-###",
    ),
    Country(
        "JP", "JPY", 2,
        (("東京", "10"), ("大阪", "53")),
        ("丸の内{n}", "本町{n}"), _words("健太 美咲 翔 さくら"), _words("佐藤 鈴木 高橋 田中"),
        ("株式会社",), "+81 3 #### ####", "#-####",
    ),
    Country(
        "BR", "BRL", 2,
        (("São Paulo", "01"), ("Curitiba", "80")),
        ("Rua das Flores, {n}", "Avenida Paulista, {n}"),
        _words("João Ana Luís Fernanda"), _words("Silva Santos Conceição Araújo"),
        ("Ltda.", "S.A."), "+55 11 9####-####", "###-000",
    ),
)  # fmt: skip
_WEIGHTS = [country.weight for country in COUNTRIES]

_ROOTS = _words(
    "Nord Vertex Alpen Blue Möbel Andes Kraft Solar Zenith Polar Iron Café Harbor Lumen Orion Delta Pioneer Summit Atlas "
    "Quantum Silber Terra Nova Falken Granite Amber Crown Ostsee Prisma Aurora Viking Cedar"
)
INDUSTRIES = (
    "Logistics", "Foods", "Robotics", "Textiles", "Energy", "Pharma", "Software", "Furniture", "Design", "Trading",
    "Bau", "Optics", "Plastics", "Maritime", "Analytics", "Garden",
)  # fmt: skip
ROLES = (
    "CEO", "Head of Purchasing", "Buyer", "CTO", "Office Manager", "Facility Manager", "Sales Director", "Einkauf",
    "Geschäftsführer", "Directeur", "Assistant", "IT Lead",
)  # fmt: skip
_NEEDS = (
    "Office furniture for {n} desks", "RFQ #{n}", "Quote for {n} chairs", "Workshop and rollout", "Meeting room fit-out",
    "Renewal {year}", "Angebot {n} Stühle", "Demande de prix n° {n}", "Storage boxes, {n} pcs", "Showroom refit",
    "Orçamento {n} peças", "Reception area", "Framework contract {year}", "Replacement of {n} lamps", "询价 {n} 台",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Company:
    """A customer, supplier or prospect."""

    number: int
    name: str
    domain: str
    industry: str
    country: str
    currency: str
    city: str
    zip: str
    street: str
    phone: str
    employees: int


@dataclass(frozen=True, slots=True)
class Person:
    """Someone who works at a company."""

    number: int
    company: int
    name: str
    email: str
    phone: str
    mobile: str | None
    role: str


@dataclass(frozen=True, slots=True)
class Deal:
    """A possible sale. `age_days` counts back from the start of the story; `course` is how far it went by then."""

    number: int
    company: int
    person: int
    title: str
    amount: float
    age_days: float
    course: float
    outcome: str  # open | won | lost


def ascii_slug(text: str) -> str:
    """Lower-case letters and digits only, as mail domains want them."""
    plain = unicodedata.normalize("NFKD", text.replace("ß", "ss").replace("ł", "l").replace("Ł", "L"))
    return "".join(letter for letter in plain.lower() if letter.isascii() and letter.isalnum())


def digits(random: Random, pattern: str) -> str:
    """The pattern with each '#' replaced by a digit and 'AB' by two letters."""
    text = "".join(str(random.randrange(10)) if letter == "#" else letter for letter in pattern)
    return text.replace("AB", random.choice("ABCDEFGHJK") + random.choice("LMNPRSTUVW"))


class World:
    """The story of one tenant."""

    def __init__(self, tenant: str, seed: int, companies: int) -> None:
        self.tenant, self.seed, self.companies = tenant, seed, companies
        self._random = Random()
        self.company = lru_cache(maxsize=4096)(self._company)
        self.person = lru_cache(maxsize=16384)(self._person)

    def random(self, kind: str, number: int | str) -> Random:
        """A generator of its own for one thing of the story."""
        return Random(f"{self.seed}/{self.tenant}/{kind}/{number}")

    def _company(self, number: int) -> Company:
        random = self.random("company", number)
        country = random.choices(COUNTRIES, _WEIGHTS)[0]
        industry = random.choice(INDUSTRIES)
        root = random.choice(_ROOTS)
        name = f"{root} {industry} {random.choice(country.forms)}"
        city, prefix = random.choice(country.cities)
        return Company(
            number, name, f"{ascii_slug(root + industry)}{number}.example", industry, country.code, country.currency, city,
            prefix + digits(random, country.zip), random.choice(country.streets).format(n=random.randrange(1, 220)),
            digits(random, country.phone), int(random.lognormvariate(4, 1.3)) + 1,
        )  # fmt: skip

    def _person(self, number: int) -> Person:
        """Two in three companies have two contacts, the rest one: person n belongs to company n // 2."""
        random = self.random("person", number)
        company = self.company(number // 2 % self.companies)
        country = next(country for country in COUNTRIES if country.code == company.country)
        given, family = random.choice(country.given), random.choice(country.family)
        local = f"{ascii_slug(given) or 'user'}.{ascii_slug(family) or number}"
        return Person(
            number, company.number, f"{given} {family}", f"{local}@{company.domain}", digits(random, country.phone),
            digits(random, country.phone) if random.random() < 0.4 else None, random.choice(ROLES),
        )  # fmt: skip

    def alias(self, name: str, system: str, number: int) -> str:
        """A company's name as people typed it into one system: often right, else without or with another legal form, in
        capitals, shortened or with a slip."""
        random = self.random(f"alias {system}", number)
        core, _, form = name.rpartition(" ") if name.rpartition(" ")[0] else (name, "", "")
        ways = (
            lambda: name, lambda: name, lambda: name, lambda: core, lambda: name.upper(), lambda: f"{core}, {form}",
            lambda: f"{core} {form.replace('.', '')}".strip(), lambda: f"The {core} Group",
            lambda: core[: len(core) // 2] + core[len(core) // 2 + 1 :] + f" {form}",
        )  # fmt: skip
        return random.choice(ways)().strip()

    def deal(self, number: int, year: int) -> Deal:
        """The `number`-th deal."""
        random = self.random("deal", number)
        person = self.person(random.randrange(self.companies * 2))
        title = random.choice(_NEEDS).format(n=random.randrange(2, 5000), year=year)
        chance = random.random()
        outcome = "won" if chance < 0.22 else "lost" if chance < 0.4 else "open"
        return Deal(
            number, person.company, person.number, title, round(random.lognormvariate(9, 1.2), 2),
            random.random() ** 1.6 * 720, random.random(), outcome,
        )  # fmt: skip
