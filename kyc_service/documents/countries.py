"""Who issues documents: ISO 3166 alpha-2 and alpha-3 codes, and what Doc 9303-3 §5 adds for use in the zone. Pure."""

from collections.abc import Mapping

ISO_3166 = """
ABWAW AFGAF AGOAO AIAAI ALAAX ALBAL ANDAD AREAE ARGAR ARMAM ASMAS ATAAQ ATFTF ATGAG AUSAU AUTAT AZEAZ BDIBI BELBE
BENBJ BESBQ BFABF BGDBD BGRBG BHRBH BHSBS BIHBA BLMBL BLRBY BLZBZ BMUBM BOLBO BRABR BRBBB BRNBN BTNBT BVTBV BWABW
CAFCF CANCA CCKCC CHECH CHLCL CHNCN CIVCI CMRCM CODCD COGCG COKCK COLCO COMKM CPVCV CRICR CUBCU CUWCW CXRCX CYMKY
CYPCY CZECZ DEUDE DJIDJ DMADM DNKDK DOMDO DZADZ ECUEC EGYEG ERIER ESHEH ESPES ESTEE ETHET FINFI FJIFJ FLKFK FRAFR
FROFO FSMFM GABGA GBRGB GEOGE GGYGG GHAGH GIBGI GINGN GLPGP GMBGM GNBGW GNQGQ GRCGR GRDGD GRLGL GTMGT GUFGF GUMGU
GUYGY HKGHK HMDHM HNDHN HRVHR HTIHT HUNHU IDNID IMNIM INDIN IOTIO IRLIE IRNIR IRQIQ ISLIS ISRIL ITAIT JAMJM JEYJE
JORJO JPNJP KAZKZ KENKE KGZKG KHMKH KIRKI KNAKN KORKR KWTKW LAOLA LBNLB LBRLR LBYLY LCALC LIELI LKALK LSOLS LTULT
LUXLU LVALV MACMO MAFMF MARMA MCOMC MDAMD MDGMG MDVMV MEXMX MHLMH MKDMK MLIML MLTMT MMRMM MNEME MNGMN MNPMP MOZMZ
MRTMR MSRMS MTQMQ MUSMU MWIMW MYSMY MYTYT NAMNA NCLNC NERNE NFKNF NGANG NICNI NIUNU NLDNL NORNO NPLNP NRUNR NZLNZ
OMNOM PAKPK PANPA PCNPN PERPE PHLPH PLWPW PNGPG POLPL PRIPR PRKKP PRTPT PRYPY PSEPS PYFPF QATQA REURE ROURO RUSRU
RWARW SAUSA SDNSD SENSN SGPSG SGSGS SHNSH SJMSJ SLBSB SLESL SLVSV SMRSM SOMSO SPMPM SRBRS SSDSS STPST SURSR SVKSK
SVNSI SWESE SWZSZ SXMSX SYCSC SYRSY TCATC TCDTD TGOTG THATH TJKTJ TKLTK TKMTM TLSTL TONTO TTOTT TUNTN TURTR TUVTV
TWNTW TZATZ UGAUG UKRUA UMIUM URYUY USAUS UZBUZ VATVA VCTVC VENVE VGBVG VIRVI VNMVN VUTVU WLFWF WSMWS YEMYE ZAFZA
ZMBZM ZWEZW
"""
ALPHA_3_TO_2: Mapping[str, str] = {pair[:3]: pair[3:] for pair in ISO_3166.split()}
# Codes of Doc 9303-3 §5 that stand for a state without being its ISO code.
OTHER_CODES: Mapping[str, str] = {
    "D": "DE",
    "GBD": "GB",  # British overseas territories citizen
    "GBN": "GB",  # British national (overseas)
    "GBO": "GB",  # British overseas citizen
    "GBP": "GB",  # British protected person
    "GBS": "GB",  # British subject
    "RKS": "XK",
    "XKX": "XK",
    "UNK": "XK",  # United Nations Interim Administration Mission in Kosovo
    "ROM": "RO",
    "ZAR": "CD",
}
# Issuers and nationalities that are no state: organisations, stateless persons and refugees.
STATELESS = frozenset({"XXA", "XXB", "XXC", "XXX"})
ORGANISATIONS = frozenset(
    {
        "UNO",
        "UNA",
        "EUE",
        "XOM",
        "XPO",
        "XCC",
        "XCE",
        "XCO",
        "XEC",
        "XMP",
        "XBA",
        "XIM",
        "XES",
        "XDC",
        "XCT",
        "XSD",
        "IAO",
    }
)
UTOPIA = "UTO"  # the state of every specimen in Doc 9303
ALPHA_2 = frozenset(ALPHA_3_TO_2.values()) | {"XK"}
STATES = frozenset(ALPHA_3_TO_2) | frozenset(OTHER_CODES) | STATELESS | ORGANISATIONS | {UTOPIA}


def alpha_2(code: str) -> str | None:
    """The alpha-2 code of the state that *code* stands for, in either alphabet. None: no state that we know."""
    code = code.upper()
    return code if code in ALPHA_2 else ALPHA_3_TO_2.get(code) or OTHER_CODES.get(code)
