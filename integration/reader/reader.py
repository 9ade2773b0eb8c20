#!/usr/bin/env python3
"""Opens Colseal's cells and keyrings. Written from codec/SPEC.md and docs/formats.md alone.

    reader.py vectors DIRECTORY       checks the test vectors
    reader.py accumulated             prints the hash of the accumulated vectors
    reader.py database FILE           opens a SQLite database; see there
"""

import base64
import hashlib
import hmac
import json
import os
import re
import sqlite3
import struct
import sys
from collections import Counter
from fractions import Fraction

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

DOMAIN = b"colseal/v1"
HEADER = 8
SHORTEST = {1: 37, 2: 25, 3: 26, 4: 27, 5: 43}


class Failed(Exception):
    """A check of SPEC.md, "Opening", failed."""

    def __init__(self, layer):
        super().__init__(layer)
        self.layer = layer


# ---------------------------------------------------------------- keys and suites


def hkdf(key, info, length=32, salt=b""):
    """RFC 5869 with SHA-256."""
    prk = hmac.digest(salt or bytes(32), key, "sha256")
    out = block = b""
    counter = 1
    while len(out) < length:
        block = hmac.digest(prk, block + info + bytes([counter]), "sha256")
        out += block
        counter += 1
    return out[:length]


def derive(data_key, suite, usage, identity):
    info = DOMAIN + bytes([1, suite, usage]) + struct.pack(">H", len(identity)) + identity
    return hkdf(data_key, info)


def column_tag(identity):
    return hashlib.sha256(identity).digest()[:2]


def associated_data(header, identity):
    return DOMAIN + header + struct.pack(">H", len(identity)) + identity


def ctr(key, iv, data):
    cipher = Cipher(algorithms.AES(key), modes.CTR(iv)).encryptor()
    return cipher.update(data) + cipher.finalize()


def synthetic_iv(data_key, suite, identity, aad, plaintext):
    mac_key = derive(data_key, suite, 2, identity)
    lengths = struct.pack(">I", len(aad)), struct.pack(">I", len(plaintext))
    return hmac.digest(mac_key, aad + lengths[0] + lengths[1] + plaintext, "sha256")[:16]


def order_of(identity):
    """Returns kind, least value, greatest value and step of an ordered column, the last three None without bounds."""
    parts = identity[identity.rindex(b"#ord:") + 5 :].decode().split(":")
    if len(parts) == 1:
        return parts[0], None, None, None
    kind, least, greatest, step = parts
    if kind == "numeric":
        return kind, Fraction(least), Fraction(greatest), Fraction(step)
    if kind == "float":
        return kind, unsigned(kind, bytes.fromhex(least)), unsigned(kind, bytes.fromhex(greatest)), int(step)
    length = LENGTHS[kind]
    least, greatest = (unsigned(kind, int(n).to_bytes(length, "big", signed=True)) for n in (least, greatest))
    return kind, least, greatest, int(step)


def unsigned(kind, encoding):
    """The number of an encoding, which compares as the value does."""
    if kind == "numeric":
        return Fraction(encoding.decode())
    n, top = int.from_bytes(encoding, "big"), 1 << (8 * len(encoding) - 1)
    return n ^ (2 * top - 1) if kind == "float" and n & top else n ^ top


def order_bits(identity):
    kind, least, greatest, step = order_of(identity)
    if least is None:
        return 32 if kind == "date" else 64
    return int((greatest - least) / step if kind == "numeric" else (greatest - least) // step).bit_length()


def order_number(identity, encoding):
    """The number x of a value; None if the column cannot hold it."""
    kind, least, greatest, step = order_of(identity)
    if kind == "numeric" and encoding in (b"NaN", b"Infinity", b"-Infinity"):
        return None
    n = unsigned(kind, encoding)
    if least is None:
        return n
    return (n - least) // step if least <= n <= greatest and (n - least) % step == 0 else None


def order_term(data_key, identity, x):
    aes = Cipher(algorithms.AES(derive(data_key, 3, 4, identity)), modes.ECB()).encryptor()
    n, term = order_bits(identity), b""
    for i in range(n):
        j, r = i // 3, i % 3
        block = aes.update(bytes([3 * j]) + bytes(7) + struct.pack(">Q", x >> (n - 3 * j)))
        m = 2**r - 1 + (x >> (n - i) & (2**r - 1))
        term += bytes([int.from_bytes(block[2 * m:2 * m + 2], "big") % 255 + (x >> (n - 1 - i) & 1)])
    return term


def seal(data_key, key_id, suite, identity, plaintext, nonce=None):
    """plaintext is the kind byte and the encoding; nonce is for suite 1, and the salt for suite 5."""
    header = bytes([1, suite]) + column_tag(identity) + struct.pack(">I", key_id)
    aad = associated_data(header, identity)
    if suite == 1:
        return header + nonce + AESGCM(derive(data_key, 1, 1, identity)).encrypt(nonce, plaintext, aad)
    term = b""
    if suite == 3:
        term = order_term(data_key, identity, order_number(identity, plaintext[1:]))
        aad += struct.pack(">H", len(term)) + term
    if suite in (4, 5):
        term = terms(data_key, suite, identity, plaintext[0], plaintext[1:])
        term = struct.pack(">H", len(term)) + term + (nonce if suite == 5 else b"")
        aad += term
    iv = synthetic_iv(data_key, suite, identity, aad, plaintext)
    return header + term + iv + ctr(derive(data_key, suite, 3, identity), iv, plaintext)


def fold(s):
    """The simple lower-case mapping of each code point. Python's is the full one, which differs for one of them."""
    return "".join("i" if c == "\u0130" else c.lower() for c in s)


def terms(search_key, suite, identity, kind, encoding):
    """The tokens of a value, by the options behind the last # of the identity."""
    key = derive(search_key, suite, 5, identity)
    options = dict(o.partition("=")[::2] for o in identity.decode().rpartition("#")[2].split(","))

    def token(kind, term, length=0):
        parameter = struct.pack(">H", length) if length else b""
        mac = hmac.digest(key, kind + struct.pack(">H", len(parameter)) + parameter + term, "sha256")
        return base64.urlsafe_b64encode(mac[:8]).rstrip(b"=")

    first, rest, texts = [], [], {}
    if KINDS[kind] == "text":
        texts[False] = encoding.decode()
        if "fold" in options:
            texts[True] = fold(texts[False])
            first.append(token(b"E", texts[True].encode()))
    for option, lengths in options.items():
        if option == "equal":
            rest.append(token(b"e", encoding))
        elif option == "elements":
            for e in set(leaves(read_array(encoding.decode())[1])):
                rest.append(token(b"N", b"") if e is None else token(b"m", e.encode()))
        elif option in ("prefix", "suffix"):
            low, _, high = lengths.partition("-")
            for folded, text in texts.items():
                for n in range(int(low), min(int(high), len(text)) + 1):
                    part = text[:n] if option == "prefix" else text[-n:]
                    kind_of = option[0].upper() if folded else option[0]
                    rest.append(token(kind_of.encode(), part.encode(), n))
    return b" ".join(first + sorted(rest))


def tokens_size(cell):
    return struct.unpack(">H", cell[8:10])[0]


def salt_of(cell):
    """Of suite 5."""
    return cell[10 + tokens_size(cell) :][:16]


def leaves(elements):
    for e in elements:
        if isinstance(e, list):
            yield from leaves(e)
        else:
            yield e


def open_cell(cell, data_key, key_id, suite, identity, kind):
    """Returns the encoding."""
    if len(cell) < HEADER:
        raise Failed("format")
    if cell[0] != 1:
        raise Failed("version")
    if cell[1] not in SHORTEST:
        raise Failed("suite")
    if len(cell) < SHORTEST[cell[1]]:
        raise Failed("format")
    if cell[1] in (4, 5) and len(cell) < SHORTEST[cell[1]] + tokens_size(cell):
        raise Failed("format")
    if cell[2:4] != column_tag(identity):
        raise Failed("column")
    if cell[1] != suite or struct.unpack(">I", cell[4:8])[0] != key_id:
        raise Failed("key")
    aad = associated_data(cell[:HEADER], identity)
    if suite == 1:
        try:
            plaintext = AESGCM(derive(data_key, 1, 1, identity)).decrypt(cell[8:20], cell[20:], aad)
        except InvalidTag:
            raise Failed("tag") from None
    else:
        at = HEADER
        if suite == 3:
            n = order_bits(identity)
            if len(cell) < 25 + n:
                raise Failed("format")
            at += n
            aad += struct.pack(">H", n) + cell[HEADER:at]
        if suite in (4, 5):
            at += 2 + tokens_size(cell) + (16 if suite == 5 else 0)
            aad += cell[HEADER:at]
        plaintext = ctr(derive(data_key, suite, 3, identity), cell[at : at + 16], cell[at + 16 :])
        if not hmac.compare_digest(synthetic_iv(data_key, suite, identity, aad, plaintext), cell[at : at + 16]):
            raise Failed("tag")
    if plaintext[0] not in KINDS or plaintext[0] != kind:
        raise Failed("kind")
    if not canonical(kind, suite, plaintext[1:]):
        raise Failed("format")
    if suite == 3 and order_number(identity, plaintext[1:]) is None:
        raise Failed("format")
    return plaintext[1:]


# ---------------------------------------------------------------- value encodings

KINDS = {
    1: "text", 2: "bytes", 3: "int", 4: "float", 5: "bool", 6: "time", 7: "json", 8: "uuid",
    9: "numeric", 10: "text[]", 11: "int[]", 12: "date", 13: "timestamp",
}
# Days to 5874897-12-31 and microseconds to the end of 294246, both from 4714-11-24 BC.
RANGES = {"date": (-2440588, 2145042906), "timestamp": (-2440588 * 86400_000_000, 106751982 * 86400_000_000)}
LENGTHS = {"int": 8, "float": 8, "bool": 1, "time": 8, "uuid": 16, "date": 4, "timestamp": 8}


def canonical(kind, suite, b):
    name = KINDS[kind]
    if name in LENGTHS:
        if len(b) != LENGTHS[name]:
            return False
        if name == "float":
            (f,) = struct.unpack(">d", b)
            if f != f:
                return b.hex() == "7ff8000000000000"
            return suite == 1 or b.hex() != "8000000000000000"
        if name in RANGES:
            n, (least, end) = int.from_bytes(b, "big", signed=True), RANGES[name]
            return least <= n < end or n in (-(2 ** (8 * len(b) - 1)), 2 ** (8 * len(b) - 1) - 1)
        return name != "bool" or b[0] <= 1
    if name == "bytes":
        return True
    try:
        s = b.decode("utf-8")
    except UnicodeDecodeError:
        return False
    if name == "text":
        return "\0" not in s
    if name == "json":
        json.loads(s)
        return suite == 1 or not re.search(r"[ \t\n\r]", re.sub(r'"(\\.|[^"\\])*"', "", s))
    if name == "numeric":
        return canonical_numeric(suite, s)
    return write_array(name, read_array(s)) == s


def canonical_numeric(suite, s):
    if s in ("NaN", "Infinity", "-Infinity"):
        return True
    m = re.fullmatch(r"(-?)(0|[1-9][0-9]*)(?:\.([0-9]+))?", s, re.ASCII)
    if not m:
        return False
    sign, whole, fraction = m[1], m[2], m[3] or ""
    if sign and not (whole + fraction).strip("0"):
        return False
    if suite != 1 and fraction.endswith("0"):
        return False
    return len(whole) <= 131072 and len(fraction) <= 16383


def read_array(s):
    """Returns the first indexes, None for none, and the elements of a canonical array literal: None for NULL, a list for an array within;
    None if it is malformed."""
    firsts, lengths = None, None
    m = re.fullmatch(r"((?:\[-?[0-9]+:-?[0-9]+\])+)=(.*)", s, re.DOTALL | re.ASCII)
    if m:
        bounds = re.findall(r"\[([^:]+):([^\]]+)\]", m[1])
        if any(str(int(n)) != n or not -(2**31) <= int(n) < 2**31 - 1 for pair in bounds for n in pair):
            return None
        firsts = [int(low) for low, _ in bounds]
        lengths = [int(high) - int(low) + 1 for low, high in bounds]
        s = m[2]
    try:
        elements, at = read_elements(s, 0)
    except ValueError:
        return None
    shape = shape_of(elements)
    if at != len(s) or shape is None or len(shape) > 6 or lengths not in (None, shape):
        return None
    return firsts, elements


TOKEN = re.compile(r'"((?:\\.|[^"\\])*)"|([^{},"\\]+)', re.DOTALL)


def read_elements(s, at):
    """Reads what stands in braces at s[at], and returns it with where it ends."""
    if s[at : at + 1] != "{":
        raise ValueError
    if s[at:] == "{}":
        return [], at + 2
    out = []
    while True:
        at += 1
        if s[at : at + 1] == "{":
            inner, at = read_elements(s, at)
            out.append(inner)
        else:
            m = TOKEN.match(s, at)
            if not m:
                raise ValueError
            if m[1] is not None:
                out.append(re.sub(r"\\(.)", r"\1", m[1], flags=re.DOTALL))
            else:
                out.append(None if m[2] == "NULL" else m[2])
            at = m.end()
        end = s[at : at + 1]
        if end == "}":
            return out, at + 1
        if end != ",":
            raise ValueError


def shape_of(elements):
    """Returns the lengths of the dimensions; None if arrays within differ in length, or are empty."""
    if not any(isinstance(e, list) for e in elements):
        return [len(elements)]
    if not all(isinstance(e, list) and e for e in elements):
        return None
    shapes = [shape_of(e) for e in elements]
    if shapes[0] is None or any(sh != shapes[0] for sh in shapes):
        return None
    return [len(elements)] + shapes[0]


def write_array(name, array):
    if array is None:
        return None
    firsts, elements = array
    out = write_elements(name, elements)
    if out is None or firsts is None or all(f == 1 for f in firsts):
        return out
    return "".join(f"[{f}:{f + n - 1}]" for f, n in zip(firsts, shape_of(elements))) + "=" + out


def write_elements(name, elements):
    out = []
    for e in elements:
        if isinstance(e, list):
            inner = write_elements(name, e)
            if inner is None:
                return None
            out.append(inner)
        elif e is None:
            out.append("NULL")
        elif name == "int[]":
            if not re.fullmatch(r"0|-?[1-9][0-9]*", e, re.ASCII) or not -(2**63) <= int(e) < 2**63:
                return None
            out.append(e)
        elif "\0" in e:
            return None
        elif e == "" or e.upper() == "NULL" or re.search(r'[{},"\\ \t\n\r\v\f]', e):
            out.append('"' + re.sub(r'(["\\])', r"\\\1", e) + '"')
        else:
            out.append(e)
    return "{" + ",".join(out) + "}"


def decode(kind, b):
    name = KINDS[kind]
    if name == "bytes":
        return b
    if name in ("int", "time", "timestamp"):
        (n,) = struct.unpack(">q", b)
        return n if name == "int" else moment(n, 2**63 - 1, 1_000_000)
    if name == "date":
        (n,) = struct.unpack(">i", b)
        return moment(n, 2**31 - 1, 0)
    if name == "float":
        return struct.unpack(">d", b)[0]
    if name == "bool":
        return b[0] == 1
    if name == "uuid":
        h = b.hex()
        return "-".join((h[:8], h[8:12], h[12:16], h[16:20], h[20:]))
    return b.decode("utf-8")


def moment(n, infinity, units):
    """Writes a date (units 0) or a time in ISO style, years BC as 0 and less."""
    if n == infinity:
        return "infinity"
    if n == -infinity - 1:
        return "-infinity"
    day, rest = divmod(n, 86400 * units) if units else (n, 0)
    year, month, date = civil(day)
    out = f"{year:04d}-{month:02d}-{date:02d}"
    if not units:
        return out
    seconds, fraction = divmod(rest, units)
    out += f" {seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return out + (f".{fraction:06d}".rstrip("0") if fraction else "")


def civil(days):
    """The Gregorian date of a number of days since 1970-01-01."""
    era, day = divmod(days + 719468, 146097)  # from 0000-03-01
    year = (day - day // 1460 + day // 36524 - day // 146096) // 365
    day -= 365 * year + year // 4 - year // 100
    month = (5 * day + 2) // 153
    date = day - (153 * month + 2) // 5 + 1
    month += 3 if month < 10 else -9
    return year + era * 400 + (month <= 2), month, date


def cell_of_text(s):
    """The cell of a textual form."""
    if not re.fullmatch(r"cs1:[A-Za-z0-9_-]*", s, re.ASCII):
        raise Failed("format")
    digits = s[4:]
    try:
        cell = base64.urlsafe_b64decode(digits + "=" * (-len(digits) % 4))
    except ValueError:
        raise Failed("format") from None
    if text_of_cell(cell) != s:
        raise Failed("format")
    return cell


def text_of_cell(cell):
    return "cs1:" + base64.urlsafe_b64encode(cell).rstrip(b"=").decode()


# ---------------------------------------------------------------- wrapped data keys


def encryption_context(keyring, row):
    context = {
        "colseal:key-id": f"{row['key_id']:08x}",
        "colseal:purpose": row["purpose"],
        "colseal:keyring": keyring,
    }
    if row["scope"]:
        context["colseal:scope"] = row["scope"]
    return context


def unwrap(kek_id, wrapped, context, keks):
    """keks are the contents of KEK files of localkms. Returns the data key."""
    if not wrapped.startswith(b"CSMK"):
        return unwrap_local(kek_id, wrapped, context, keks)
    if wrapped[4] != 1:
        raise ValueError("several wraps of another version")
    body, mac = wrapped[:-32], wrapped[-32:]
    wraps, at = [], 6
    for _ in range(wrapped[5]):
        parts = []
        for _ in range(2):
            (n,) = struct.unpack(">H", body[at : at + 2])
            parts.append(body[at + 2 : at + 2 + n])
            at += 2 + n
        wraps.append((parts[0].decode(), parts[1]))
    if at != len(body) or ", ".join(name for name, _ in wraps) != kek_id:
        raise ValueError("several wraps that do not fit together")
    for name, blob in wraps:
        try:
            data_key = unwrap_local(name, blob, context, keks)
        except KeyError:
            continue
        if not hmac.compare_digest(hmac.digest(hkdf(data_key, b"colseal kms several wraps v1"), body, "sha256"), mac):
            raise ValueError("several wraps that were altered")
        return data_key
    raise KeyError(kek_id)


def unwrap_local(kek_id, blob, context, keks):
    domain = b"colseal localkms v1"
    for kek in keks:
        name = hkdf(kek, domain + b" id", 16)
        if kek_id != "localkms:" + name.hex():
            continue
        if len(blob) != 77 or blob[0] != 1 or blob[1:17] != name:
            raise ValueError("not a key that localkms wrapped under " + kek_id)
        aad = domain + blob[:17] + struct.pack(">I", len(context))
        for pair in sorted((k.encode(), v.encode()) for k, v in context.items()):
            for s in pair:
                aad += struct.pack(">Q", len(s)) + s
        return AESGCM(hkdf(kek, domain + b" wrap")).decrypt(blob[17:29], blob[29:], aad)
    raise KeyError(kek_id)


# ---------------------------------------------------------------- inboxes and writers' keys


def unwrap_writer(row, keyring, inbox, private):
    """inbox is the row of the inbox, and private its private key. Returns the data key."""
    (kem,) = struct.unpack(">H", inbox["public"][:2])
    scope = row["scope"].encode()
    info = b"colseal writer v1" + struct.pack(">I", row["key_id"]) + bytes.fromhex(keyring) + struct.pack(">H", len(scope)) + scope
    size = HYBRIDS[kem].size
    shared = HYBRIDS[kem].decapsulate(private, inbox["public"][2:], row["wrapped"][:size])
    return hpke_open(kem, shared, info, row["wrapped"][size:])


def hpke_open(kem, shared, info, ciphertext):
    """RFC 9180 in base mode with HKDF-SHA256 and AES-256-GCM: the first message, without associated data."""
    suite = b"HPKE" + struct.pack(">HHH", kem, 1, 2)

    def extract(label, key):
        return hmac.digest(bytes(32), b"HPKE-v1" + suite + label + key, "sha256")

    def expand(secret, label, context, length):
        info = struct.pack(">H", length) + b"HPKE-v1" + suite + label + context
        return hmac.digest(secret, info + b"\x01", "sha256")[:length]

    context = b"\0" + extract(b"psk_id_hash", b"") + extract(b"info_hash", info)
    secret = hmac.digest(shared, b"HPKE-v1" + suite + b"secret", "sha256")
    return AESGCM(expand(secret, b"key", context, 32)).decrypt(expand(secret, b"base_nonce", context, 12), ciphertext, None)


class Hybrid:
    """ML-KEM-768 and a curve."""

    def __init__(self, label, point):
        self.label, self.point, self.size = label, point, 1088 + point

    def decapsulate(self, private, public, enc):
        stretched = hashlib.shake_256(private).digest(64 + 32 * 16)
        ours = MLKEM768(stretched[:64])
        curve = next(c for c in map(self.private, (stretched[i : i + 32] for i in range(64, len(stretched), 32))) if c)
        if public != ours.public + self.encode(curve.public_key()):
            raise ValueError("the inbox's private key is not that of its public key")
        theirs = enc[1088:]
        if self.point == 32:
            secret = curve.exchange(x25519.X25519PublicKey.from_public_bytes(theirs))
        else:
            secret = curve.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), theirs))
        return hashlib.sha3_256(ours.decapsulate(enc[:1088]) + secret + theirs + public[1184:] + self.label).digest()

    def private(self, b):
        """The private key of 32 bytes; None if they are none."""
        if self.point == 32:
            return x25519.X25519PrivateKey.from_private_bytes(b)
        try:
            return ec.derive_private_key(int.from_bytes(b, "big"), ec.SECP256R1())
        except ValueError:
            return None

    def encode(self, public):
        if self.point == 32:
            return public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        return public.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)


HYBRIDS = {0x647A: Hybrid(b"\\.//^\\", 32), 0x0050: Hybrid(b"MLKEM768-P256", 65)}

Q = 3329
ZETAS = [pow(17, int(f"{i:07b}"[::-1], 2), Q) for i in range(128)]


class MLKEM768:
    """FIPS 203, of the seed d || z."""

    def __init__(self, seed):
        d, self.z = seed[:32], seed[32:]
        g = hashlib.sha3_512(d + b"\x03").digest()
        self.rho, sigma = g[:32], g[32:]
        self.s, noise = ([ntt(small(sigma, 3 * k + i)) for i in range(3)] for k in range(2))
        self.t = [add(product(self.row(i, False), self.s), noise[i]) for i in range(3)]
        self.public = b"".join(pack(12, f) for f in self.t) + self.rho

    def row(self, i, transposed):
        """Of the matrix."""
        return [uniform(self.rho + (bytes([i, j]) if transposed else bytes([j, i]))) for j in range(3)]

    def decapsulate(self, c):
        u = [[decompress(10, x) for x in unpack(10, c[i : i + 320])] for i in range(0, 960, 320)]
        v = [decompress(4, x) for x in unpack(4, c[960:])]
        w = inverse_ntt(product(self.s, [ntt(f) for f in u]))
        message = pack(1, [compress(1, (a - b) % Q) for a, b in zip(v, w)])
        g = hashlib.sha3_512(message + hashlib.sha3_256(self.public).digest()).digest()
        if self.encrypt(message, g[32:]) == c:
            return g[:32]
        return hashlib.shake_256(self.z + c).digest(32)

    def encrypt(self, message, randomness):
        y = [ntt(small(randomness, i)) for i in range(3)]
        out = b""
        for i in range(3):
            u = add(inverse_ntt(product(self.row(i, True), y)), small(randomness, 3 + i))
            out += pack(10, [compress(10, x) for x in u])
        v = add(inverse_ntt(product(self.t, y)), small(randomness, 6))
        v = add(v, [decompress(1, x) for x in unpack(1, message)])
        return out + pack(4, [compress(4, x) for x in v])


def ntt(f):
    f, k, length = list(f), 1, 128
    while length >= 2:
        for start in range(0, 256, 2 * length):
            for j in range(start, start + length):
                t = ZETAS[k] * f[j + length]
                f[j], f[j + length] = (f[j] + t) % Q, (f[j] - t) % Q
            k += 1
        length //= 2
    return f


def inverse_ntt(f):
    f, k, length = list(f), 127, 2
    while length <= 128:
        for start in range(0, 256, 2 * length):
            for j in range(start, start + length):
                f[j], f[j + length] = (f[j] + f[j + length]) % Q, ZETAS[k] * (f[j + length] - f[j]) % Q
            k -= 1
        length *= 2
    return [x * 3303 % Q for x in f]


def product(fs, gs):
    """The sum of the products of two vectors, transformed."""
    out = [0] * 256
    for f, g in zip(fs, gs):
        for i in range(0, 256, 2):
            gamma = ZETAS[64 + i // 4] * (1 if i % 4 == 0 else -1)
            out[i] += f[i] * g[i] + f[i + 1] * g[i + 1] * gamma
            out[i + 1] += f[i] * g[i + 1] + f[i + 1] * g[i]
    return [x % Q for x in out]


def add(f, g):
    return [(a + b) % Q for a, b in zip(f, g)]


def uniform(seed):
    b, out = hashlib.shake_128(seed).digest(3 * 1024), []
    for i in range(0, len(b), 3):
        out += [n for n in (b[i] + (b[i + 1] % 16 << 8), (b[i + 1] >> 4) + (b[i + 2] << 4)) if n < Q]
    return out[:256]


def small(seed, n):
    b = unpack(1, hashlib.shake_256(seed + bytes([n])).digest(128))
    return [(b[i] + b[i + 1] - b[i + 2] - b[i + 3]) % Q for i in range(0, 1024, 4)]


def pack(bits, f):
    n = sum(x << (bits * i) for i, x in enumerate(f))
    return n.to_bytes(bits * len(f) // 8, "little")


def unpack(bits, b):
    n = int.from_bytes(b, "little")
    return [n >> i & (1 << bits) - 1 for i in range(0, 8 * len(b), bits)]


def compress(bits, x):
    return ((x << bits) + Q // 2) // Q % (1 << bits)


def decompress(bits, x):
    return (x * Q + (1 << (bits - 1))) >> bits


# ---------------------------------------------------------------- commands


def read_vector(path):
    fields = {}
    with open(path, encoding="utf-8") as f:
        for line in f.read().split("\n"):
            if line and not line.startswith("#"):
                name, _, value = line.partition(":")
                fields[name] = value.strip()
    return fields


def go_syntax(kind, v):
    """A value as the vectors write it."""
    name = KINDS[kind]
    if name in ("time", "date", "timestamp") and "infinity" not in v:
        return (v + " 00:00:00" if name == "date" else v) + " +0000 UTC"
    if isinstance(v, bool):
        return str(v).lower()
    if name in ("bytes", "json"):
        v = v if isinstance(v, bytes) else v.encode()
        return "[]byte{" + ", ".join(f"0x{b:x}" for b in v) + "}"
    if isinstance(v, str):
        return json.dumps(v, ensure_ascii=False)
    if v != v:
        return "NaN"
    return f"{v:g}" if isinstance(v, float) else str(v)


def vectors(directory):
    names = sorted(n for n in os.listdir(directory) if n.endswith(".txt"))
    numbers = {name: kind for kind, name in KINDS.items()}
    layers = {}
    for name in names:
        v = read_vector(os.path.join(directory, name))
        suite = {"randomized": 1, "deterministic": 2, "ordered": 3, "deterministic-terms": 4, "randomized-terms": 5}[v["suite"]]
        data_key, key_id = bytes.fromhex(v["data key"]), int(v["key id"], 16)
        identity, kind, cell = v["identity"].encode(), numbers[v["kind"]], bytes.fromhex(v["cell"])
        layers[v["layer"]] = layers.get(v["layer"], 0) + 1
        try:
            encoding = open_cell(cell, data_key, key_id, suite, identity, kind)
        except Failed as e:
            if e.layer != v["layer"]:
                sys.exit(f"{name}: layer {e.layer} fails, want {v['layer']}")
            continue
        got = {
            "layer": "none",
            "encoding": encoding.hex(),
            "value": go_syntax(kind, decode(kind, encoding)),
            "aad": associated_data(cell[:HEADER], identity).hex(),
            "text": text_of_cell(cell_of_text(v["text"])),
            "cell": seal(data_key, key_id, suite, identity, bytes([kind]) + encoding, salt_of(cell) if suite == 5 else cell[8:20]).hex(),
        }
        if suite == 1:
            got["aead key"], got["nonce"] = derive(data_key, 1, 1, identity).hex(), cell[8:20].hex()
        else:
            got["mac key"], got["enc key"] = derive(data_key, suite, 2, identity).hex(), derive(data_key, suite, 3, identity).hex()
            at = HEADER
        if suite == 3:
            x, n, header = order_number(identity, encoding), order_bits(identity), cell[:HEADER]
            term, at = order_term(data_key, identity, x), HEADER + n
            got["order key"], got["number"], got["term"] = derive(data_key, 3, 4, identity).hex(), str(x), term.hex()
            got["least"], got["behind"] = header.hex(), (header + term + b"\xff" * 17).hex()
            got["greatest"] = (int.from_bytes(header, "big") + 1).to_bytes(HEADER, "big").hex()
            got["aad"] += f"{n:04x}" + term.hex()
        if suite in (4, 5):
            at += 2 + tokens_size(cell)
            got["term key"], got["tokens"] = derive(data_key, suite, 5, identity).hex(), cell[10:at].decode()
            if suite == 5:
                got["salt"] = salt_of(cell).hex()
                at += 16
            got["aad"] += cell[HEADER:at].hex()
        if suite != 1:
            got["iv"] = cell[at : at + 16].hex()
        for field in {*got, *v} - {"suite", "data key", "key id", "identity", "kind"}:
            if got.get(field) != v.get(field):
                sys.exit(f"{name}: {field} is {got.get(field)}, want {v.get(field)}")
    print(json.dumps(layers, sort_keys=True))


def accumulated():
    stream = hashlib.shake_128(b"colseal/v1 accumulated vectors").digest(10_000 * 400)
    at = 0

    def take(n):
        nonlocal at
        at += n
        return stream[at - n : at]

    total = hashlib.sha256()
    for _ in range(10_000):
        b = take(8)
        data_key, identity = take(32), take(1 + b[2] % 32).hex().encode()
        encoding, nonce = take(b[3]), take(12)
        suite, kind, (key_id,) = 1 + b[0] % 2, 1 + b[1] % 11, struct.unpack(">I", b[4:])
        total.update(seal(data_key, key_id, suite, identity, bytes([kind]) + encoding, nonce))
    assert at <= len(stream)
    print(total.hexdigest())


def keyring_of(db, table, keks, used):
    """Returns the data keys by their ids. used counts the ways in which they were wrapped."""
    rows = {row["key_id"]: row for row in db.execute(f'SELECT * FROM "{table}"')}
    name, data_keys = rows.pop(0)["wrapped"].hex(), {}

    def open_row(row):
        used["several KEKs" if row["wrapped"].startswith(b"CSMK") else row["kek_id"].partition(":")[0]] += 1
        return unwrap(row["kek_id"], row["wrapped"], encryption_context(name, row), keks)

    for key_id, row in rows.items():
        if row["purpose"] == "writer":
            inbox = rows[row["wrapped_to"]]
            if (inbox["purpose"], inbox["scope"], row["kek_id"]) != ("inbox", row["scope"], ""):
                raise ValueError("a writer's key that is wrapped to something else")
            used[f"writer, KEM {inbox['public'][:2].hex()}"] += 1
            data_keys[key_id] = unwrap_writer(row, name, inbox, open_row(inbox))
        elif row["purpose"] != "inbox":
            data_keys[key_id] = open_row(row)
    return rows, data_keys


def database(path):
    """Standard input is JSON: the table of the keyring, the hexadecimal contents of KEK files, and the columns, each with its table,
    name, identity and kind, and whether its tag says inbox. Prints JSON: the values of each column, how many cells of each suite and kind were opened, and
    how their keys were wrapped."""
    want = json.load(sys.stdin)
    keks = [bytes.fromhex(k) for k in want["keks"]]
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    db.row_factory = sqlite3.Row
    opened, wraps = Counter(), Counter()
    keys, data_keys = keyring_of(db, want["keyring"], keks, wraps)
    numbers = {name: kind for kind, name in KINDS.items()}
    out = {}
    for column in want["columns"]:
        kind, values = numbers[column["kind"]], []
        for (cell,) in db.execute(f'SELECT "{column["name"]}" FROM "{column["table"]}" ORDER BY id'):
            if cell is None:
                values.append(None)
                continue
            if isinstance(cell, str):
                cell = cell_of_text(cell)
            (key_id,) = struct.unpack(">I", cell[4:8])
            if keys[key_id]["purpose"] == "writer" and not column["inbox"]:
                raise ValueError("a writer's key in another column")
            encoding = open_cell(cell, data_keys[key_id], key_id, cell[1], column["identity"].encode(), kind)
            v = decode(kind, encoding)
            values.append(v.hex() if isinstance(v, bytes) else v)
            opened[f"{cell[1]} {column['kind']}"] += 1
        out[f"{column['table']}.{column['name']}"] = values
    json.dump({"rows": out, "opened": opened, "wraps": wraps}, sys.stdout)


if __name__ == "__main__":
    {"vectors": vectors, "accumulated": accumulated, "database": database}[sys.argv[1]](*sys.argv[2:])
