"""The built-in document engine: from the bytes of a picture to what the document says, and what is wrong with it.

`pages` opens a file of any kind, once `containers` or `pdf_structure` have taken it apart; `images` and `pdf` make
pixels of it, `ocr` finds and reads lines of text, `decipher` makes a machine-readable zone out of them, which `mrz`
parses; `reading` ties these together, `checks` compares the reading with what was announced and declared, and `pool`
does the heavy part in processes that may be killed. `mrz`, `decipher`, `transliteration`, `countries`, `readings`,
`wire` and `checks` are pure.

Nothing is imported here: the engine's processes load only what they need, and a service without the `engine` extra
can still import every pure module.
"""
