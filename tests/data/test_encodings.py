"""Tables in the encodings that spreadsheets write: recognised and said, or refused; in memory and streamed."""

import pytest

from ldebm_hf.data import load_corpus
from ldebm_hf.data.encodings import read_decoded_lines, recognise_encoding

SENTENCES = {
    "cp1251": "музей закрыли на ремонт|билеты стоили дорого|экскурсия была короткой|гид говорил слишком быстро",
    "koi8_r": "музей закрыли на ремонт|билеты стоили дорого|экскурсия была короткой|гид говорил слишком быстро",
    "cp866": "музей закрыли на ремонт|билеты стоили дорого|экскурсия была короткой|гид говорил слишком быстро",
    "cp1252": "die Führung war zu kurz|schöne Bilder, große Säle|das Café schloss früh|Eintritt 5 €, zu teuer",
    "mac_roman": "le musée était fermé|une très belle façade|les fenêtres sont à l'est|l’entrée coûte cher",
    "cp850": "die Führung war zu kurz|schöne Bilder, große Säle|das Café schloss früh|Öffnung erst am Mittag",
    "cp1250": "muzeum było zamknięte|bilety są za drogie|przewodnik mówił zbyt szybko|piękna wieża i źródło",
    "iso8859_2": "muzeum było zamknięte|bilety są za drogie|przewodnik mówił zbyt szybko|piękna wieża i źródło",
    "cp1253": "το μουσείο ήταν κλειστό|τα εισιτήρια είναι ακριβά|ο ξεναγός μιλούσε γρήγορα|ωραίο κτίριο",
    "cp1254": "müze kapalıydı|biletler çok pahalı|rehber hızlı konuştu|güzel bir bahçe, eşsiz ışık",
    "cp1255": "המוזיאון היה סגור|הכרטיסים יקרים מאוד|המדריך דיבר מהר|בניין יפה",
    "cp1256": "كان المتحف مغلقا|التذاكر غالية جدا|تكلم المرشد بسرعة|مبنى جميل",
    "cp1257": "muziejus buvo uždarytas|bilietai labai brangūs|gidas kalbėjo per greitai|gražūs rūmai šalia ežero",
    "cp874": "พิพิธภัณฑ์ปิด|ตั๋วแพงมาก|มัคคุเทศก์พูดเร็วเกินไป|อาคารสวยงาม",
    "gb18030": "博物馆今天关门|门票太贵了|导游说话很快|这座楼真漂亮",
    "big5": "博物館今天關門|門票太貴了|導遊說話很快|這座樓真漂亮",
    "cp932": "博物館は休みでした|入場料が高すぎます|ガイドの話が速かった|建物がきれいです",
    "euc_jp": "博物館は休みでした|入場料が高すぎます|ガイドの話が速かった|建物がきれいです",
    "cp949": "박물관이 문을 닫았어요|표가 너무 비쌉니다|안내원이 빨리 말했어요|건물이 아름답습니다",
    "utf-16": "the tower is old|die Führung war kurz|музей закрыли|博物馆今天关门",
    "utf-16-le": "the tower is old|die Führung war kurz|музей закрыли|博物馆今天关门",
    "utf-16-be": "the tower is old|the view is fine|tickets cost too much|we came late",
    "utf-32": "the tower is old|die Führung war kurz|музей закрыли|博物馆今天关门",
    "utf-8-sig": "the tower is old|die Führung war kurz|музей закрыли|博物馆今天关门",
}


def table(sentences: str, rows: int = 12) -> str:
    """Every sentence with a class called after its first word."""
    sentences = sentences.split("|")
    texts = [sentences[i % len(sentences)] for i in range(rows)]
    return "text,label\r\n" + "".join(f'"{text} {i}",{text.split()[0]}\r\n' for i, text in enumerate(texts))


@pytest.mark.parametrize("encoding", SENTENCES)
@pytest.mark.parametrize("rows", [8, 200])
def test_encodings_are_recognised_and_said(write, encoding, rows):
    content, notes = table(SENTENCES[encoding], rows), []
    path = write("mine.csv", content.encode(encoding))
    found = recognise_encoding(path, notes)
    assert "".join(read_decoded_lines(path, found, newline="")) == content
    if encoding == "utf-8-sig":
        assert notes == []
    else:
        assert len(notes) == 1 and notes[0].startswith(("mine.csv: not UTF-8, recognised as", "mine.csv: read as utf"))


@pytest.mark.parametrize("encoding", ["cp1251", "cp1252", "gb18030", "cp932", "utf-16", "utf-16-le"])
def test_memory_and_stream_read_the_same_texts_and_classes(write, encoding):
    sentences = SENTENCES[encoding]
    path = write("mine.csv", table(sentences, 40).encode(encoding))
    held_out = write("held_out.csv", table(sentences, 8))
    options = {"label_column": "label", "validation_file": held_out}
    loaded, streamed = load_corpus(path, **options), load_corpus(path, streaming=True, **options)
    assert len(loaded.label_names) == 4 and not any("\ufffd" in text for text in loaded.train.texts)
    assert list(streamed.train.texts) == loaded.train.texts and streamed.label_names == loaded.label_names
    assert any(note.startswith("mine.csv: ") and note in streamed.notes for note in loaded.notes)


def test_the_encoding_can_be_given(write):
    path = write("mine.csv", "text\n1 café\n2 café\n".encode("mac_roman"))
    corpus = load_corpus(path, encoding="mac-roman")
    assert corpus.train.texts + corpus.validation.texts == ["1 café", "2 café"] or "2 café" in corpus.train.texts
    with pytest.raises(ValueError, match="encoding='klingon' is unknown; examples are utf-8, cp1252 and gb18030"):
        load_corpus(path, encoding="klingon")
    with pytest.raises(ValueError, match="mine.csv is not cp932 throughout .*: save it as UTF-8, or give another"):
        load_corpus(write("mine.csv", b"text\n\x81\x00\n\xff\n"), encoding="cp932")


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (bytes(range(128, 256)) * 20, "cannot be recognised: save the file as UTF-8, or give encoding"),
        ("text,label\nyes,好\nno,坏\n".encode("gbk"), "cannot be recognised"),
        ("text\n日本語\n".encode() + "café\nthé\n".encode("cp1252"), "2 of 3 lines that are not plain ASCII"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "is a pointer of Git LFS"),
        (b"PK\x03\x04rest", "is an Excel file or a .zip archive: rename it"),
        (b"\xd0\xcf\x11\xe0rest", "is an old or encrypted Excel file: save it as .xlsx"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_way_out(write, content, message, streaming):
    with pytest.raises(ValueError, match=f"mine.csv.* {message}"):
        load_corpus(write("mine.csv", content), streaming=streaming)


def test_a_few_words_of_another_script_do_not_decide_for_it(write):
    """Typographic marks and one accented letter among ASCII are Western, whatever they could be in other encodings."""
    notes = []
    path = write("mine.csv", "text\nit’s a “nice” place – really\nwe ate at the café\n".encode("cp1252"))
    assert recognise_encoding(path, notes) == "cp1252"
