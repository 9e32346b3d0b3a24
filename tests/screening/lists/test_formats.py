"""Every format says the same of the same person, as far as it can; small files in the publishers' own way of writing."""

# ruff: noqa: E501  # the publishers write long lines

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from kyc_service.screening.entries import Birth, Entry, Group, Identifier, Kind, ListedName, NameKind
from kyc_service.screening.lists import formats, opensanctions_ftm
from kyc_service.screening.lists.reading import ListUnreadable, Problems

Read = Callable[..., list[Entry]]
Write = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a file."""

    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8", newline="")
        return path

    return write


def read(*paths: Path, problems: Problems | None = None) -> list[Entry]:
    known, files = formats.arranged(paths)
    return list(known.parse(files, "list", problems or Problems()))


def names(entry: Entry) -> dict[str, NameKind]:
    return {name.value: name.kind for name in entry.names}


# ── OFAC ──────────────────────────────────────────────────────────────────────────

SDN = (
    '7,"DOE, Jane Ann","individual","SDGT] [IRAN","Colonel",-0- ,-0- ,-0- ,-0- ,-0- ,-0- ,"DOB 08 Nov 1957; alt. DOB circa'
    " 1958; POB Yangon, Burma; nationality Burma; Gender Female; Passport A056782 (Burma) expires 01 Jan 2020; a.k.a."
    " 'JANIE'; f.k.a. 'SMITH, Jane'; National ID No. 12/A (Thailand); Linked To: ACME\"\r\n"
    '8,"STAR OF THE SEA","vessel","IRAN",-0- ,"9HEF9","Crude Oil Tanker","317,355","163,660","Malta","ACME",'
    '"Vessel Registration Identification IMO 9187629; MMSI 123456789."\r\n'
    '9,"ACME, LLC",-0- ,"SDGT",-0- ,-0- ,-0- ,-0- ,-0- ,-0- ,-0- ,"Organization Established Date 2009; Tax ID No. 77 '
    '(Russia); Digital Currency Address - XBT 1abcDEF."\r\n\x1a'
)
ALT = '7,1,"aka","DAW, Jean",-0- \r\n7,2,"fka","MILLER, Jane",-0- \r\n\x1a'
ADD = '7,1,"1 Main Street","Yangon","Burma",-0- \r\n9,2,-0- ,-0- ,"Panama",-0- \r\n\x1a'
COMMENTS = "7,\"TRADING; nationality Malaysia; a.k.a. 'JJ'.\"\r\n\x1a"


def test_the_files_of_ofac_are_joined(write: Write) -> None:
    paths = [write(f"{n}.csv", text) for n, text in enumerate((ADD, COMMENTS, SDN, ALT))]
    jane, ship, acme = read(*paths)
    assert (jane.id, jane.kind, jane.gender) == ("list:7", Kind.PERSON, "female")
    assert names(jane) == {
        "DOE, Jane Ann": NameKind.PRIMARY,
        "DAW, Jean": NameKind.ALIAS,
        "MILLER, Jane": NameKind.FORMER,
        "JANIE": NameKind.WEAK,
        "SMITH, Jane": NameKind.FORMER,
        "JJ": NameKind.WEAK,
    }
    assert jane.births == (
        Birth(first="1957-11-08", last="1957-11-08"),
        Birth(first="1958-01-01", last="1958-12-31", circa=True),
    )
    assert jane.countries == ("mm", "my")
    assert jane.identifiers == (
        Identifier(type="passport", value="A056782", country="mm"),
        Identifier(type="national_id", value="12/A", country="th"),
    )
    assert jane.programmes == ("SDGT", "IRAN")
    assert jane.birth_places == ("Yangon, Burma",)
    assert jane.addresses == ("1 Main Street, Yangon, Burma",)
    assert "Title: Colonel" in (jane.remarks or "")
    assert "Linked To: ACMETRADING" in (jane.remarks or "")  # a remark goes on in the comments in the middle of a word
    assert (ship.kind, ship.countries) == (Kind.VESSEL, ("mt",))
    assert ship.identifiers == (Identifier(type="imo", value="9187629"), Identifier(type="other", value="123456789"))
    assert (acme.kind, acme.countries) == (Kind.ORGANISATION, ("pa",))
    assert acme.births == (Birth(first="2009-01-01", last="2009-12-31"),)
    assert acme.identifiers[0] == Identifier(type="tax_id", value="77", country="ru")
    assert acme.identifiers[1].value == "1abcDEF"


def test_the_aliases_alone_are_no_list(write: Write) -> None:
    with pytest.raises(ListUnreadable, match="the names"):
        read(write("alt.csv", ALT))


def test_two_main_files_are_no_list(write: Write) -> None:
    with pytest.raises(ListUnreadable, match="same part"):
        read(write("one.csv", SDN), write("two.csv", SDN))


def test_files_of_different_formats_are_no_list(write: Write) -> None:
    with pytest.raises(ListUnreadable, match="different formats"):
        read(write("one.csv", SDN), write("two.jsonl", '{"id": "1", "names": []}'))


def test_a_row_with_other_columns_breaks_the_schema(write: Write) -> None:
    with pytest.raises(ListUnreadable, match="12 columns"):
        read(write("sdn.csv", SDN.split("\r\n", maxsplit=1)[0] + "\r\n8,too,few\r\n9,too,few\r\n"))


def test_a_packed_file_is_read_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "sdn.csv.gz"
    path.write_bytes(gzip.compress(SDN.encode()))
    assert len(read(path)) == 3
    path.write_bytes(gzip.compress(SDN.encode())[:-20])
    with pytest.raises(ListUnreadable, match="broken"):
        read(path)


def test_a_field_that_is_not_understood_costs_the_field_and_not_the_entry(write: Write) -> None:
    problems = Problems()
    (entry,) = read(
        write(
            "sdn.csv",
            '7,"DOE",-0- ,"X",-0- ,-0- ,-0- ,-0- ,-0- ,-0- ,-0- ,"DOB 31 Feb 1957; nationality Atlantis."\r\n',
        ),
        problems=problems,
    )
    assert (entry.names[0].value, entry.births, entry.countries) == ("DOE", (), ())
    assert [(one.field, one.value) for one in problems.shown] == [
        ("birth date", "31 Feb 1957"),
        ("nationality", "Atlantis"),
    ]


SDN_XML = """<?xml version="1.0"?>
<sdnList xmlns="https://sanctionslistservice.ofac.treas.gov/api/PublicationPreview/exports/XML">
 <publshInformation><Publish_Date>05/03/2024</Publish_Date><Record_Count>2</Record_Count></publshInformation>
 <sdnEntry><uid>7</uid><firstName>Jane Ann</firstName><lastName>DOE</lastName><sdnType>Individual</sdnType>
  <programList><program>SDGT</program><program>IRAN</program></programList>
  <idList><id><uid>1</uid><idType>Passport</idType><idNumber>A056782</idNumber><idCountry>Burma</idCountry></id>
   <id><uid>2</uid><idType>Gender</idType><idNumber>Female</idNumber></id></idList>
  <akaList><aka><uid>3</uid><type>a.k.a.</type><category>weak</category><lastName>JANIE</lastName></aka>
   <aka><uid>4</uid><type>f.k.a.</type><category>strong</category><lastName>MILLER</lastName><firstName>Jane</firstName></aka>
   <aka><uid>4</uid><type>a.k.a.</type><category>strong</category><lastName>DAW</lastName><firstName>Jean</firstName></aka>
  </akaList>
  <addressList><address><uid>5</uid><address1>1 Main Street</address1><city>Yangon</city><country>Burma</country></address>
  </addressList>
  <nationalityList><nationality><uid>6</uid><country>Burma</country><mainEntry>true</mainEntry></nationality></nationalityList>
  <citizenshipList><citizenship><uid>7</uid><country>Malaysia</country><mainEntry>true</mainEntry></citizenship></citizenshipList>
  <dateOfBirthList><dateOfBirthItem><uid>8</uid><dateOfBirth>08 Nov 1957</dateOfBirth><mainEntry>true</mainEntry>
   </dateOfBirthItem></dateOfBirthList>
  <placeOfBirthList><placeOfBirthItem><uid>9</uid><placeOfBirth>Yangon, Burma</placeOfBirth><mainEntry>true</mainEntry>
   </placeOfBirthItem></placeOfBirthList>
 </sdnEntry>
 <sdnEntry><uid>8</uid><lastName>STAR OF THE SEA</lastName><sdnType>Vessel</sdnType>
  <programList><program>IRAN</program></programList>
  <idList><id><uid>1</uid><idType>Vessel Registration Identification</idType><idNumber>IMO 9187629</idNumber></id></idList>
  <vesselInfo><callSign>9HEF9</callSign><vesselFlag>Malta</vesselFlag></vesselInfo>
 </sdnEntry>
</sdnList>"""


def test_ofacs_xml_says_what_its_csv_says(write: Write) -> None:
    jane, ship = read(write("sdn.xml", SDN_XML))
    assert names(jane) == {
        "DOE, Jane Ann": NameKind.PRIMARY,
        "JANIE": NameKind.WEAK,
        "MILLER, Jane": NameKind.FORMER,
        "DAW, Jean": NameKind.ALIAS,
    }
    assert jane.identifiers == (Identifier(type="passport", value="A056782", country="mm"),)
    assert (jane.gender, jane.countries) == ("female", ("mm", "my"))
    assert jane.births == (Birth(first="1957-11-08", last="1957-11-08"),)
    assert jane.programmes == ("SDGT", "IRAN")
    assert (ship.kind, ship.countries, ship.identifiers) == (
        Kind.VESSEL,
        ("mt",),
        (Identifier(type="imo", value="9187629"),),
    )


ADVANCED = """<?xml version="1.0" encoding="utf-8"?>
<Sanctions xmlns="https://sanctionslistservice.ofac.treas.gov/api/PublicationPreview/exports/ADVANCED_XML">
 <ReferenceValueSets>
  <AliasTypeValues><AliasType ID="1400">A.K.A.</AliasType><AliasType ID="1401">F.K.A.</AliasType>
   <AliasType ID="1403">Name</AliasType></AliasTypeValues>
  <CountryValues><Country ID="11" ISO2="MM">Burma</Country><Country ID="12" ISO2="MY">Malaysia</Country></CountryValues>
  <DetailReferenceValues><DetailReference ID="91527">Female</DetailReference></DetailReferenceValues>
  <FeatureTypeValues><FeatureType ID="8">Birthdate</FeatureType><FeatureType ID="9">Place of Birth</FeatureType>
   <FeatureType ID="10">Nationality Country</FeatureType><FeatureType ID="25">Location</FeatureType>
   <FeatureType ID="224">Gender</FeatureType><FeatureType ID="26">Title</FeatureType>
   <FeatureType ID="344">Digital Currency Address - XBT</FeatureType></FeatureTypeValues>
  <IDRegDocTypeValues><IDRegDocType ID="1571">Passport</IDRegDocType></IDRegDocTypeValues>
  <NamePartTypeValues><NamePartType ID="1520">Last Name</NamePartType><NamePartType ID="1521">First Name</NamePartType>
   <NamePartType ID="1525">Entity Name</NamePartType></NamePartTypeValues>
  <PartySubTypeValues><PartySubType ID="1" PartyTypeID="4">Vessel</PartySubType>
   <PartySubType ID="3" PartyTypeID="2">Unknown</PartySubType><PartySubType ID="4" PartyTypeID="1">Unknown</PartySubType>
   </PartySubTypeValues>
  <ScriptValues><Script ID="215" ScriptCode="Latn">Latin</Script><Script ID="220">Burmese</Script></ScriptValues>
 </ReferenceValueSets>
 <Locations><Location ID="1"><LocationCountry CountryID="11"/><LocationPart LocPartTypeID="1454"><LocationPartValue Primary="true">
   <Value>Yangon</Value></LocationPartValue></LocationPart></Location>
  <Location ID="2"><LocationCountry CountryID="12"/></Location></Locations>
 <IDRegDocuments><IDRegDocument ID="1" IDRegDocTypeID="1571" IdentityID="70" IssuedBy-CountryID="11">
  <IDRegistrationNo>A056782</IDRegistrationNo></IDRegDocument></IDRegDocuments>
 <DistinctParties>
  <DistinctParty FixedRef="7"><Profile ID="7" PartySubTypeID="4">
   <Identity ID="70" Primary="true">
    <Alias AliasTypeID="1403" Primary="true" LowQuality="false">
     <DocumentedName ID="1"><DocumentedNamePart><NamePartValue NamePartGroupID="1" ScriptID="215">DOE</NamePartValue>
      </DocumentedNamePart><DocumentedNamePart><NamePartValue NamePartGroupID="2" ScriptID="215">Jane Ann</NamePartValue>
      </DocumentedNamePart></DocumentedName>
     <DocumentedName ID="2"><DocumentedNamePart><NamePartValue NamePartGroupID="1" ScriptID="220">ဒိုး</NamePartValue>
      </DocumentedNamePart></DocumentedName></Alias>
    <Alias AliasTypeID="1400" Primary="false" LowQuality="true"><DocumentedName ID="3"><DocumentedNamePart>
     <NamePartValue NamePartGroupID="2" ScriptID="215">JANIE</NamePartValue></DocumentedNamePart></DocumentedName></Alias>
    <Alias AliasTypeID="1401" Primary="false" LowQuality="false"><DocumentedName ID="4"><DocumentedNamePart>
     <NamePartValue NamePartGroupID="1" ScriptID="215">MILLER</NamePartValue></DocumentedNamePart></DocumentedName></Alias>
    <NamePartGroups><MasterNamePartGroup><NamePartGroup ID="1" NamePartTypeID="1520"/></MasterNamePartGroup>
     <MasterNamePartGroup><NamePartGroup ID="2" NamePartTypeID="1521"/></MasterNamePartGroup></NamePartGroups>
   </Identity>
   <Feature ID="1" FeatureTypeID="8"><FeatureVersion ID="1"><DatePeriod><Start Approximate="false">
     <From><Year>1957</Year><Month>11</Month><Day>8</Day></From><To><Year>1957</Year><Month>11</Month><Day>8</Day></To></Start>
     <End Approximate="false"><From><Year>1957</Year><Month>11</Month><Day>8</Day></From>
     <To><Year>1957</Year><Month>11</Month><Day>8</Day></To></End></DatePeriod></FeatureVersion></Feature>
   <Feature ID="2" FeatureTypeID="8"><FeatureVersion ID="2"><DatePeriod><Start Approximate="true">
     <From><Year>1958</Year><Month>1</Month><Day>1</Day></From><To><Year>1958</Year><Month>1</Month><Day>1</Day></To></Start>
     <End Approximate="true"><From><Year>1958</Year><Month>12</Month><Day>31</Day></From>
     <To><Year>1958</Year><Month>12</Month><Day>31</Day></To></End></DatePeriod></FeatureVersion></Feature>
   <Feature ID="3" FeatureTypeID="9"><FeatureVersion ID="3"><VersionDetail>Yangon, Burma</VersionDetail></FeatureVersion></Feature>
   <Feature ID="4" FeatureTypeID="10"><FeatureVersion ID="4"><VersionLocation LocationID="2"/></FeatureVersion></Feature>
   <Feature ID="5" FeatureTypeID="25"><FeatureVersion ID="5"><VersionLocation LocationID="1"/></FeatureVersion></Feature>
   <Feature ID="6" FeatureTypeID="224"><FeatureVersion ID="6"><VersionDetail DetailReferenceID="91527"/></FeatureVersion></Feature>
   <Feature ID="7" FeatureTypeID="26"><FeatureVersion ID="7"><VersionDetail>Colonel</VersionDetail></FeatureVersion></Feature>
   <Feature ID="8" FeatureTypeID="344"><FeatureVersion ID="8"><VersionDetail>1abcDEF</VersionDetail></FeatureVersion></Feature>
  </Profile></DistinctParty>
  <DistinctParty FixedRef="8"><Profile ID="8" PartySubTypeID="1"><Identity ID="80" Primary="true">
   <Alias AliasTypeID="1403" Primary="true"><DocumentedName ID="9"><DocumentedNamePart>
    <NamePartValue ScriptID="215">STAR OF THE SEA</NamePartValue></DocumentedNamePart></DocumentedName></Alias>
  </Identity></Profile></DistinctParty>
 </DistinctParties>
 <SanctionsEntries><SanctionsEntry ID="7" ProfileID="7" ListID="1550">
   <EntryEvent ID="1"><Date><Year>2014</Year><Month>7</Month><Day>3</Day></Date></EntryEvent>
   <SanctionsMeasure ID="1" SanctionsTypeID="1"><Comment>SDGT</Comment></SanctionsMeasure>
   <SanctionsMeasure ID="2" SanctionsTypeID="1"><Comment>IRAN</Comment></SanctionsMeasure></SanctionsEntry>
 </SanctionsEntries>
</Sanctions>"""


def test_ofacs_advanced_xml_adds_the_own_script(write: Write) -> None:
    problems = Problems()
    jane, ship = read(write("sdn_advanced.xml", ADVANCED), problems=problems)
    assert problems.count == 0
    assert names(jane) == {
        "DOE, Jane Ann": NameKind.PRIMARY,
        "ဒိုး": NameKind.ORIGINAL,
        "JANIE": NameKind.WEAK,
        "MILLER": NameKind.FORMER,
    }
    assert jane.births == (
        Birth(first="1957-11-08", last="1957-11-08"),
        Birth(first="1958-01-01", last="1958-12-31", circa=True),
    )
    assert jane.identifiers == (
        Identifier(type="passport", value="A056782", country="mm"),
        Identifier(type="other", value="1abcDEF"),
    )
    assert (jane.kind, jane.gender, jane.countries) == (Kind.PERSON, "female", ("my", "mm"))
    assert (jane.programmes, jane.listed_on) == (("SDGT", "IRAN"), "2014-07-03")
    assert (jane.birth_places, jane.addresses) == (("Yangon, Burma",), ("Yangon, Burma",))
    assert jane.remarks == "Title: Colonel"
    assert (ship.kind, ship.names) == (Kind.VESSEL, (ListedName(value="STAR OF THE SEA"),))


# ── UN ────────────────────────────────────────────────────────────────────────────


def test_the_whole_list_of_the_united_nations_is_read(lists: Path) -> None:
    problems = Problems()
    entries = read(lists / "un_sc/UN_consolidated.xml", problems=problems)
    assert (len(entries), problems.count) == (1003, 0)
    assert sum(entry.kind is Kind.PERSON for entry in entries) == 730
    weak = sum(name.kind is NameKind.WEAK for entry in entries for name in entry.names)
    assert weak > 500  # of 615 aliases of low quality; some are written twice
    assert sum(bool(entry.births) for entry in entries) > 650
    assert all(entry.listed_on for entry in entries)


# ── EU ────────────────────────────────────────────────────────────────────────────

EU_COLUMNS = [
    "fileGenerationDate",
    "Entity_LogicalId",
    "Entity_EU_ReferenceNumber",
    "Entity_DesignationDate",
    "Entity_Remark",
    "Entity_SubjectType_ClassificationCode",
    "Entity_Regulation_Programme",
    "NameAlias_LastName",
    "NameAlias_FirstName",
    "NameAlias_MiddleName",
    "NameAlias_WholeName",
    "NameAlias_Gender",
    "NameAlias_Function",
    "NameAlias_Remark",
    "Address_City",
    "Address_Street",
    "Address_CountryIso2Code",
    "Address_CountryDescription",
    "BirthDate_BirthDate",
    "BirthDate_Day",
    "BirthDate_Month",
    "BirthDate_Year",
    "BirthDate_YearRangeFrom",
    "BirthDate_YearRangeTo",
    "BirthDate_Circa",
    "BirthDate_CalendarType",
    "BirthDate_City",
    "BirthDate_CountryDescription",
    "Identification_Number",
    "Identification_TypeCode",
    "Identification_CountryIso2Code",
    "Citizenship_CountryIso2Code",
]


def eu_row(**told: str) -> str:
    fields = {"Entity_LogicalId": "13", "Entity_SubjectType_ClassificationCode": "P", **told}
    return ";".join(f'"{fields[column]}"' if column in fields else "" for column in EU_COLUMNS)


EU_CSV = "\ufeff" + "\n".join(
    (
        ";".join(EU_COLUMNS),
        eu_row(
            Entity_EU_ReferenceNumber="EU.27.28",
            Entity_DesignationDate="2014-07-03",
            Entity_Regulation_Programme="MMR",
            NameAlias_WholeName="Jane Ann Doe",
            NameAlias_Gender="F",
        ),
        eu_row(NameAlias_WholeName="Janie", NameAlias_Remark="Low quality alias"),
        eu_row(NameAlias_WholeName="Джейн Доу"),
        eu_row(NameAlias_WholeName="Jean Daw"),
        eu_row(BirthDate_BirthDate="1957-11-08", BirthDate_City="Yangon", BirthDate_CountryDescription="MYANMAR/BURMA"),
        eu_row(BirthDate_Year="1958", BirthDate_Circa="true", BirthDate_CalendarType="GREGORIAN"),
        eu_row(BirthDate_YearRangeFrom="1955", BirthDate_YearRangeTo="1957"),
        eu_row(BirthDate_Year="1376", BirthDate_CalendarType="ISLAMIC"),
        eu_row(
            Identification_Number="A056782", Identification_TypeCode="passport", Identification_CountryIso2Code="MM"
        ),
        eu_row(Citizenship_CountryIso2Code="MM"),
        eu_row(Citizenship_CountryIso2Code="00"),
        eu_row(Address_Street="1 Main Street", Address_City="Belgrade", Address_CountryIso2Code="CS"),
    )
)
EU_XML = """<?xml version="1.0" encoding="UTF-8"?>
<export xmlns="http://eu.europa.ec/fpi/fsd/export" generationDate="2026-09-21T10:00:00" globalFileId="1">
 <sanctionEntity logicalId="13" euReferenceNumber="EU.27.28" designationDate="2014-07-03">
  <regulation programme="MMR" logicalId="1"/><subjectType code="person" classificationCode="P"/>
  <nameAlias wholeName="Jane Ann Doe" firstName="Jane" lastName="Doe" gender="F" strong="true"/>
  <nameAlias wholeName="Janie"><remark>Low quality alias</remark></nameAlias>
  <nameAlias wholeName="Джейн Доу"/><nameAlias wholeName="Jean Daw"/>
  <citizenship countryIso2Code="MM"/>
  <birthdate birthdate="1957-11-08" city="Yangon" countryDescription="MYANMAR/BURMA" calendarType="GREGORIAN"/>
  <birthdate year="1958" circa="true" calendarType="GREGORIAN" countryDescription="UNKNOWN"/>
  <birthdate yearRangeFrom="1955" yearRangeTo="1957" calendarType="GREGORIAN"/>
  <birthdate year="1376" calendarType="ISLAMIC"/>
  <address street="1 Main Street" city="Belgrade" countryIso2Code="CS"/>
  <identification number="A056782" identificationTypeCode="passport" countryIso2Code="MM"/>
  <identification number="FAKE" identificationTypeCode="passport" countryIso2Code="MM" knownFalse="true"/>
 </sanctionEntity>
</export>"""


@pytest.mark.parametrize(("name", "text"), [("eu.csv", EU_CSV), ("eu.xml", EU_XML)])
def test_both_files_of_the_union_say_the_same(write: Write, name: str, text: str) -> None:
    problems = Problems()
    (jane,) = read(write(name, text), problems=problems)
    assert names(jane) == {
        "Jane Ann Doe": NameKind.PRIMARY,
        "Janie": NameKind.WEAK,
        "Джейн Доу": NameKind.ORIGINAL,
        "Jean Daw": NameKind.ALIAS,
    }
    assert jane.births == (
        Birth(first="1957-11-08", last="1957-11-08"),
        Birth(first="1958-01-01", last="1958-12-31", circa=True),
        Birth(first="1955-01-01", last="1957-12-31"),
    )
    assert [(one.field, one.value) for one in problems.shown] == [("birth date", "ISLAMIC 1376")]
    assert set(jane.countries) == {"mm", "rs"}
    assert jane.identifiers == (Identifier(type="passport", value="A056782", country="mm"),)
    assert (jane.kind, jane.gender, jane.programmes, jane.listed_on) == (Kind.PERSON, "female", ("MMR",), "2014-07-03")
    assert jane.birth_places == ("Yangon, MYANMAR/BURMA",)


# ── UK ────────────────────────────────────────────────────────────────────────────

UK_CSV = (
    "Report Date: 23-Sep-2026\r\n"
    "Last Updated,Unique ID,OFSI Group ID,Name 6,Name 1,Name 2,Name type,Alias strength,Name non-latin script,Regime Name,"
    "Designation Type,Address Line 1,Address Country,Date Designated,D.O.B,Nationality(/ies),Passport number,Gender,"
    "Town of birth,Country of birth,UK Statement of Reasons,IMO number,Current believed flag of ship\r\n"
    "01/09/2026,MMR0001,13700,DOE,Jane,Ann,Primary Name,,,Myanmar,Individual,1 Main Street,Myanmar,03/07/2014,08/11/1957,"
    "(1) Myanmar (2) Malaysian,A056782,Female,Yangon,Myanmar,She &quot;led&quot; it,,\r\n"
    "01/09/2026,MMR0001,13700,,JANIE,,Alias,Low quality,,Myanmar,Individual,,,03/07/2014,dd/mm/1958,,,,,,,,\r\n"
    "01/09/2026,MMR0001,13700,DAW,Jean,,Alias,Good quality,ဒိုး,Myanmar,Individual,,,03/07/2014,,,,,,,,,\r\n"
    "01/09/2026,RUS0002,13701,STAR OF THE SEA,,,Primary Name,,,Russia,Ship,,,03/07/2024,,,,,,,,9187629,Panama\r\n"
)
OFSI_CSV = (
    "Last Updated,12/02/2016\r\n"
    "Name 6,Name 1,Name 2,Title,DOB,Town of Birth,Country of Birth,Nationality,Passport Number,Address 1,Country,Other Information,"
    "Group Type,Alias Type,Alias Quality,Name Non-Latin Script,Regime,Listed On,Last Updated,Group ID\r\n"
    "DOE,Jane,Ann,Colonel,(1) 08/11/1957 (2) 00/00/1958,(1) Yangon (2) Mandalay,(1) Myanmar (2) Myanmar,(1) Myanmar (2) Malaysian,"
    "A056782,1 Main Street,Myanmar,Linked to ACME,Individual,Primary name,,,Myanmar,03/07/2014,03/07/2014,13700\r\n"
    ",JANIE,,,,,,,,,,,Individual,AKA,Low quality,,Myanmar,03/07/2014,03/07/2014,13700\r\n"
    "DAW,Jean,,,,,,,,,,,Individual,AKA,Good quality,ဒိုး,Myanmar,03/07/2014,03/07/2014,13700\r\n"
)


@pytest.mark.parametrize("text", [UK_CSV, OFSI_CSV], ids=["uk", "ofsi"])
def test_the_british_lists_are_joined_by_their_numbers(write: Write, text: str) -> None:
    problems = Problems()
    jane, *_ = read(write("uk.csv", text), problems=problems)
    assert problems.count == 0
    assert names(jane) == {
        "Jane Ann DOE": NameKind.PRIMARY,
        "JANIE": NameKind.WEAK,
        "Jean DAW": NameKind.ALIAS,
        "ဒိုး": NameKind.ORIGINAL,
    }
    assert jane.births == (
        Birth(first="1957-11-08", last="1957-11-08"),
        Birth(first="1958-01-01", last="1958-12-31"),
    )
    assert (jane.kind, jane.countries) == (Kind.PERSON, ("mm", "my"))
    assert jane.identifiers == (Identifier(type="passport", value="A056782"),)
    assert (jane.programmes, jane.listed_on) == (("Myanmar",), "2014-07-03")
    assert "Yangon, Myanmar" in jane.birth_places


def test_a_ship_of_the_british_list(write: Write) -> None:
    _, ship = read(write("uk.csv", UK_CSV))
    assert (ship.kind, ship.countries) == (Kind.VESSEL, ("pa",))
    assert ship.identifiers == (Identifier(type="imo", value="9187629"),)


# ── OpenSanctions ─────────────────────────────────────────────────────────────────

TARGETS = (
    '"id","schema","name","aliases","birth_date","countries","addresses","identifiers","sanctions","dataset","first_seen"\n'
    '"NK-1","Person","Jane Ann Doe","Jean Daw;Джейн Доу","1957-11-08;1958","mm;my","1 Main Street","A056782","EU","Some list",'
    '"2023-04-20T11:00:00"\n'
    '"NK-2","Vessel","STAR OF THE SEA","","","pa","","IMO9187629","EU","Some list","2023-04-20T11:00:00"\n'
    '"Q3","Person","Erika Muster","","1964","de","","","","Members of some parliament (PEP)","2023-04-20"\n'
)


def test_targets_are_read_by_the_names_of_their_columns(write: Write) -> None:
    jane, ship, erika = read(write("targets.simple.csv", TARGETS))
    assert names(jane) == {
        "Jane Ann Doe": NameKind.PRIMARY,
        "Jean Daw": NameKind.ALIAS,
        "Джейн Доу": NameKind.ORIGINAL,
    }
    assert [birth.first for birth in jane.births] == ["1957-11-08", "1958-01-01"]
    assert (jane.countries, jane.listed_on) == (("mm", "my"), "2023-04-20")
    assert ship.identifiers == (Identifier(type="imo", value="9187629"),)
    assert [one.group for one in (jane, ship, erika)] == [Group.SANCTION, Group.SANCTION, Group.PEP]


def ftm(identity: str, schema: str, **properties: list[str]) -> dict[str, object]:
    return {
        "id": identity,
        "caption": (properties.get("name") or [identity])[0],
        "schema": schema,
        "properties": properties,
    }


JANE = {
    **ftm(
        "NK-1",
        "Person",
        name=["Jane Ann Doe", "Джейн Доу"],
        weakAlias=["Janie"],
        previousName=["Jane Miller"],
        birthDate=["1957-11-08"],
        nationality=["mm"],
        gender=["female"],
        passportNumber=["A056782"],
        topics=["sanction"],
        addressEntity=["addr-1"],
    ),
    "referents": ["eu-13", "NK-1"],
}
SANCTION = ftm("s-1", "Sanction", entity=["NK-1"], programId=["EU-MMR"], listingDate=["2014-07-03"])
ADDRESS = ftm("addr-1", "Address", full=["1 Main Street, Yangon"])
ERIKA = ftm("Q3", "Person", name=["Erika Muster"], topics=["role.pep"])
AUNT = ftm("Q4", "Person", name=["Aunt Muster"])


def ftm_file(*entities: dict[str, object]) -> str:
    return "".join(f"{json.dumps(one)}\n" for one in entities)


def test_what_belongs_to_a_person_is_found_wherever_it_stands(write: Write) -> None:
    jane, erika = read(write("entities.ftm.json", ftm_file(JANE, AUNT, ERIKA, SANCTION, ADDRESS)))
    assert names(jane) == {
        "Jane Ann Doe": NameKind.PRIMARY,
        "Джейн Доу": NameKind.ORIGINAL,
        "Jane Miller": NameKind.FORMER,
        "Janie": NameKind.WEAK,
    }
    assert (jane.programmes, jane.listed_on) == (("EU-MMR", "sanction"), "2014-07-03")
    assert (jane.addresses, jane.referents) == (("1 Main Street, Yangon",), ("list:eu-13",))
    assert jane.identifiers == (Identifier(type="passport", value="A056782"),)
    assert (jane.group, erika.group) == (Group.SANCTION, Group.PEP)


def delta(*operations: tuple[str, dict[str, object]]) -> str:
    return "".join(json.dumps({"op": operation, "entity": entity}) + "\n" for operation, entity in operations)


def test_a_chain_of_deltas_gives_the_file_that_the_publisher_has(write: Write, tmp_path: Path) -> None:
    base = write("entities.ftm.json", ftm_file(JANE, ERIKA))
    married = ftm("Q3", "Person", name=["Erika Beispiel"], topics=["role.pep"])
    newcomer = ftm("Q5", "Person", name=["New Comer"], topics=["sanction"])
    deltas = [
        write("1.json", delta(("MOD", married), ("ADD", newcomer))),
        write("2.json", delta(("DEL", {"id": "NK-1"}), ("MOD", {**newcomer, "caption": "Newer Comer"}))),
        write("3.json", ""),
    ]
    opensanctions_ftm.follow(base, deltas, tmp_path / "new.json", Problems())
    assert [entry.names[0].value for entry in read(tmp_path / "new.json")] == ["Erika Beispiel", "Newer Comer"]


@pytest.mark.parametrize(
    "broken",
    [
        delta(("ADD", ERIKA)),
        delta(("MOD", AUNT)),
        delta(("DEL", {"id": "Q9"})),
        '{"op": "REPLACE", "entity": {"id": "Q3"}}\n',
        '{"op": "ADD"',
    ],
)
def test_a_delta_of_another_base_is_not_followed(write: Write, tmp_path: Path, broken: str) -> None:
    base = write("entities.ftm.json", ftm_file(JANE, ERIKA))
    with pytest.raises(ListUnreadable):
        opensanctions_ftm.follow(base, [write("1.json", broken)], tmp_path / "new.json", Problems())


def test_real_files_of_opensanctions_are_read(lists: Path) -> None:
    problems = Problems()
    assert len(read(lists / "ua_war/targets.simple.csv", problems=problems)) == 5600
    assert len(read(lists / "yente_fixtures/zala/entities.ftm.json", problems=problems)) == 14
    assert problems.count == 0


# ── what a stranger may send ──────────────────────────────────────────────────────

BILLION_LAUGHS = """<?xml version="1.0"?>
<!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol2 "&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;">]>
<sdnList><sdnEntry><uid>1</uid><lastName>&lol2;</lastName></sdnEntry></sdnList>"""
FOREIGN = """<?xml version="1.0"?>
<!DOCTYPE sdnList [<!ENTITY x SYSTEM "secrets.txt">]>
<sdnList><sdnEntry><uid>1</uid><lastName>&x;</lastName></sdnEntry></sdnList>"""


@pytest.mark.parametrize("text", [BILLION_LAUGHS, FOREIGN])
def test_xml_that_declares_entities_is_refused(write: Write, text: str) -> None:
    with pytest.raises(ListUnreadable):
        read(write("sdn.xml", text))


@pytest.mark.parametrize("text", [SDN_XML, ADVANCED, EU_XML])
def test_xml_that_was_cut_off_is_refused(write: Write, text: str) -> None:
    with pytest.raises(ListUnreadable, match="The XML is broken"):
        read(write("cut.xml", text[: len(text) * 9 // 10]))


def test_text_that_is_not_utf_8_is_told(tmp_path: Path) -> None:
    path = tmp_path / "sdn.csv"
    path.write_bytes('7,"DOË, Jane",-0- ,"X",-0- ,-0- ,-0- ,-0- ,-0- ,-0- ,-0- ,-0- \r\n'.encode("cp1252"))
    problems = Problems()
    (entry,) = read(path, problems=problems)
    assert entry.names[0].value == "DOË, Jane"
    assert (problems.encoding, problems.shown[0].field) == ("cp1252", "encoding")
