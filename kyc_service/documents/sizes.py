"""How large what is looked at may be."""

MOST_PIXELS = 25_000_000
LONGEST_SIDE = 2400  # of what is read; larger pictures are made smaller
SMALLEST = (300, 60)  # longer and shorter side; below 300 the letters of a zone have fewer than six pixels
MOST_PAGES = 20  # of a PDF; more are no identity document
PAGES_READ = 3  # from the beginning
