"""The vocabulary of made-up customers: names, places, and the ways in which values go wrong."""

FIRST_NAMES = (
    ("Anna", "anna"), ("Ben", "ben"), ("Chloé", "chloe"), ("David", "david"), ("Emma", "emma"), ("Felix", "felix"),
    ("Grace", "grace"), ("Hannah", "hannah"), ("Ida", "ida"), ("Jürgen", "juergen"), ("Karin", "karin"),
    ("Liam", "liam"), ("María", "maria"), ("Noah", "noah"), ("Olga", "olga"), ("Paul", "paul"), ("Quinn", "quinn"),
    ("Rosa", "rosa"), ("Søren", "soren"), ("Tomás", "tomas"), ("Uma", "uma"), ("Victor", "victor"), ("Wei", "wei"),
    ("小明", "xiaoming"), ("Yara", "yara"), ("Zoë", "zoe"), ("Ángel", "angel"), ("Łukasz", "lukasz"),
    ("أمينة", "amina"), ("Björn", "bjorn"), ("Siân", "sian"),
)  # fmt: skip
"""Display form and the plain form used in addresses. Their number has no factor in common with the others'."""

LAST_NAMES = (
    ("Abe", "abe"), ("Becker", "becker"), ("Costa", "costa"), ("D'Arcy", "darcy"), ("Eriksson", "eriksson"),
    ("Fischer", "fischer"), ("García", "garcia"), ("Hughes", "hughes"), ("Ivanova", "ivanova"), ("Jansen", "jansen"),
    ("Kowalski", "kowalski"), ("López", "lopez"), ("Müller", "mueller"), ("Nguyen", "nguyen"), ("O'Brien", "obrien"),
    ("Petrov", "petrov"), ("Quist", "quist"), ("Rossi", "rossi"), ("Schmidt", "schmidt"), ("Tanaka", "tanaka"),
    ("Ueda", "ueda"), ("van der Berg", "vanderberg"), ("王", "wang"), ("Xu", "xu"), ("Yılmaz", "yilmaz"),
    ("Zhang", "zhang"), ("Ødegård", "odegard"), ("Šimić", "simic"), ("Núñez", "nunez"),
)  # fmt: skip

DOMAINS = ("example.com", "example.org", "example.net", "mail.example", "shop.example", "post.example", "kunde.example")

PLACES = (
    ("Berlin", "Berlin", "10115", "Germany"),
    ("München", "Bayern", "80331", "DE"),
    ("Wien", "Wien", "1010", "Austria"),
    ("Zürich", "Zürich", "8001", "Switzerland"),
    ("Paris", "Île-de-France", "75001", "France"),
    ("Lyon", "Auvergne-Rhône-Alpes", "69001", "FR"),
    ("Madrid", "Comunidad de Madrid", "28001", "Spain"),
    ("London", "England", "EC1A 1BB", "United Kingdom"),
    ("Leeds", "England", "LS1 1UR", "GB"),
    ("New York", "NY", "10001", "United States"),
    ("Seattle", "WA", "98101", "USA"),
    ("Toronto", "ON", "M5H 2N2", "Canada"),
    ("台北市", "台灣", "100", "Taiwan"),
    ("東京", "東京都", "100-0001", "Japan"),
    ("São Paulo", "SP", "01310-000", "Brazil"),
    ("Warszawa", "mazowieckie", "00-001", "Poland"),
    ("Kraków", "małopolskie", "30-001", "Polska"),
)
"""City, state or province, postal code, country or region as somebody typed it."""

STREETS = ("High Street", "Hauptstraße", "Rue de la Paix", "Calle Mayor", "Main St", "Park Lane", "中山路")

LANGUAGES = ("en-GB", "de-DE", "fr-FR", "es-ES", "zh-TW", "pl-PL", "pt-BR")

INVALID_EMAILS = ("not-an-email", "anna@", "@example.com", "two words@example.com", "a@@example.com", "a@example", "-")

RIGHT_TO_LEFT_OVERRIDE = "\u202e"
LONG_TEXT = "long value " * 910  # 10,010 characters: more than any text field at the other end takes
LONG_LOCAL_PART = "x" * 250  # an address may have 254 characters in all
