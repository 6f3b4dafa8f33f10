/** Values of signatures: ways to write them that are no base64, and numbers that careless verifiers have taken. */
import { constants, sign } from 'node:crypto';
import type { SignedMessage } from '../../support/signed-message';
import type { Forgery } from './forgery';
import {
    cubeRoot,
    der,
    derInteger,
    derSequence,
    ecdsaSignature,
    numbersOf,
    ORDERS,
    paddedBlock,
    rsaNumbers,
    sha256,
    SHA256_INFO,
    signBlock,
    toBytes,
    toNumber,
    type Padding,
} from './numbers';
import { SMALL_POINTS, TRIVIAL_RSA_LENGTH } from './weak-keys';

type Change = (message: SignedMessage) => SignedMessage;
const REFUSED = /signature/i;

function table(by: string, changes: Readonly<Record<string, Change>>): Forgery[] {
    return Object.entries(changes).map(([name, forge]) => ({
        name: `${by}: ${name}`,
        says: REFUSED,
        by,
        forge,
    }));
}

const written =
    (change: (base64: string) => string): Change =>
    (message) =>
        message.setParameter('signature', change(message.parameter('signature')!));

const bytes =
    (change: (signature: Buffer) => Uint8Array): Change =>
    (message) =>
        message.setSignature(change(message.signature));

/** Ways to write the signature. Each is wrong, whatever a lenient decoder makes of it. */
const encodings = table('alice', {
    'one character cut off': written((text) => text.slice(0, -1)),
    'the padding cut off': written((text) => text.replace(/=+$/, '')),
    'four characters cut off': written((text) => text.slice(0, -4)),
    'half of it': written((text) => text.slice(0, text.length / 2)),
    'one character': written((text) => text.slice(0, 1)),
    'a space': written(() => ' '),
    'padding alone': written(() => '===='),
    'a character more': written((text) => `${text}A`),
    'padding more': written((text) => `${text}==`),
    'itself twice': written((text) => text + text),
    'a space before it': written((text) => ` ${text}`),
    'a space after it': written((text) => `${text} `),
    'spaces in it': written((text) => text.replace(/.{64}/g, '$& ')),
    'tabs in it': written((text) => text.replace(/.{64}/g, '$&\t')),
    'characters of no alphabet in it': written((text) => text.replace(/.{64}/g, '$&!')),
    'the alphabet of URLs': (message) => {
        // Some signatures have none of the two characters; another text has another signature.
        for (let n = 0; !/[+/]/.test(message.parameter('signature')!); n++) {
            message.setHeader('X-Other', String(n)).setParameter('headers', 'date x-other').sign();
        }
        return written((text) => text.replaceAll('+', '-').replaceAll('/', '_'))(message);
    },
    '%-escapes': written(encodeURIComponent),
    '%-escapes everywhere': written((text) => Buffer.from(text).toString('hex').replace(/../g, '%$&')),
    hexadecimal: (message) => message.setParameter('signature', message.signature.toString('hex')),
    'base64 of its base64': written((text) => Buffer.from(text).toString('base64')),
    'bits set that base64 throws away': written((text) =>
        text.replace(/(.)(=+)$/, (_, last: string, end: string) => {
            const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
            return alphabet[alphabet.indexOf(last) + 1]! + end;
        }),
    ),
    words: written(() => 'trust me'),
    'letters beyond ASCII': written((text) => `é${text}`),
});

/** Of every type of key. */
const anyKey = ['alice', 'ruth', 'dan', 'erin', 'frank', 'grace', 'edith'].flatMap((by) =>
    table(by, {
        zeros: bytes(({ length }) => Buffer.alloc(length)),
        ones: bytes(({ length }) => Buffer.alloc(length, 0xff)),
        'a one': bytes(({ length }) => toBytes(1n, length)),
        'one byte': bytes(() => Buffer.from([0])),
        'the first bit changed': bytes((it) => it.map((byte, n) => (n === 0 ? byte ^ 0x80 : byte))),
        'the last bit changed': bytes((it) => it.map((byte, n) => (n === it.length - 1 ? byte ^ 1 : byte))),
        'the bytes in reverse': bytes((it) => it.reverse()),
        'a byte cut off': bytes((it) => it.subarray(0, -1)),
        'the first byte cut off': bytes((it) => it.subarray(1)),
        'a zero after it': bytes((it) => Buffer.concat([it, Buffer.alloc(1)])),
        'a zero before it': bytes((it) => Buffer.concat([Buffer.alloc(1), it])),
        'forty thousand bytes': bytes(() => Buffer.alloc(40_000, 1)),
        'of another date': (message) => message.sign({ text: `date: ${new Date(0).toUTCString()}` }),
        'of the date alone, without its name': (message) => message.sign({ text: message.header('date')! }),
        'of the text with a line break': (message) => message.sign({ text: `${message.text}\n` }),
        'of the text with its name in capitals': (message) =>
            message.sign({ text: message.text.replace('date', 'Date') }),
        'of no text': (message) => message.sign({ text: '' }),
        'of the hash of the text': (message) =>
            message.setSignature(
                sign(
                    message.key.algorithm.startsWith('ed') ? null : message.key.algorithm.replace(/^.*-/, ''),
                    sha256(message.text),
                    message.key.privateKey,
                ),
            ),
    }),
);

const withNumber =
    (change: (numbers: { s: bigint; n: bigint; e: bigint; length: number }) => bigint): Change =>
    (message) => {
        const numbers = rsaNumbers(message.key);
        const s = toNumber(message.signature);
        return message.setSignature(toBytes(change({ ...numbers, s }), numbers.length));
    };

const withBlock =
    (make: (text: string) => Padding): Change =>
    (message) => {
        const { length } = rsaNumbers(message.key);
        return message.setSignature(signBlock(message.key, paddedBlock(length, make(message.text))));
    };

const info = (text: string): Buffer => Buffer.concat([SHA256_INFO, sha256(text)]);

/** Root of the block of which only the first bytes matter: what careless verifiers take for keys with exponent 3. */
const withRoot =
    (make: (text: string) => Padding): Change =>
    (message) => {
        const { length } = rsaNumbers(message.key);
        const wanted = toNumber(paddedBlock(length, make(message.text)));
        return message.setSignature(toBytes(cubeRoot(wanted) + 1n, length));
    };

const pss =
    (saltLength: number): Change =>
    (message) =>
        message.setSignature(
            sign('sha256', Buffer.from(message.text), {
                key: message.key.privateKey,
                padding: constants.RSA_PKCS1_PSS_PADDING,
                saltLength,
            }),
        );

const sequence = (...parts: Buffer[]) => derSequence(...parts);
const SHA256_OID = Buffer.from('0609608648016503040201', 'hex');
const octets = (text: string): Buffer => der(0x04, sha256(text));

const rsa = ['alice', 'ruth'].flatMap((by) =>
    table(by, {
        'n − s': withNumber(({ s, n }) => n - s),
        's + n': withNumber(({ s, n }) => s + n),
        n: withNumber(({ n }) => n),
        'n − 1': withNumber(({ n }) => n - 1n),
        'n + 1': withNumber(({ n }) => n + 1n),
        'the block itself, not signed': (message) =>
            message.setSignature(paddedBlock(rsaNumbers(message.key).length, { info: info(message.text) })),
        PSS: pss(constants.RSA_PSS_SALTLEN_DIGEST),
        'PSS without salt': pss(0),
        'the hash without DigestInfo': withBlock((text) => ({ info: sha256(text) })),
        'the text without a hash': withBlock((text) => ({ info: Buffer.from(text) })),
        'the hash alone, without padding': (message) =>
            message.setSignature(
                signBlock(
                    message.key,
                    toBytes(toNumber(sha256(message.text)), rsaNumbers(message.key).length),
                ),
            ),
        'DigestInfo without NULL': withBlock((text) => ({
            info: sequence(sequence(SHA256_OID), octets(text)),
        })),
        'DigestInfo of SHA-1 with a hash of SHA-256': withBlock((text) => ({
            info: sequence(sequence(Buffer.from('06052b0e03021a0500', 'hex')), octets(text)),
        })),
        'DigestInfo with bytes in the place of NULL': withBlock((text) => ({
            info: sequence(sequence(SHA256_OID, der(0x04, Buffer.alloc(90, 7))), octets(text)),
        })),
        'DigestInfo with bytes after the hash': withBlock((text) => ({
            info: sequence(
                sequence(SHA256_OID, der(0x05, Buffer.alloc(0))),
                octets(text),
                Buffer.alloc(8, 7),
            ),
        })),
        'DigestInfo with lengths in the long form': withBlock((text) => ({
            info: Buffer.concat([Buffer.from('308131', 'hex'), info(text).subarray(2)]),
        })),
        'bytes after DigestInfo': withBlock((text) => ({ info: info(text), trailing: Buffer.alloc(16, 7) })),
        'eight bytes of padding and rubbish after the hash': withBlock((text) => ({
            info: info(text),
            fillers: 8,
            trailing: Buffer.alloc(150, 7),
        })),
        'no bytes of padding': withBlock((text) => ({ info: info(text), fillers: 0 })),
        'padding of zeros': withBlock((text) => ({ info: info(text), filler: 0 })),
        'padding of encryption': withBlock((text) => ({ info: info(text), type: 2 })),
        'padding of type 0': withBlock((text) => ({ info: info(text), type: 0, filler: 0 })),
    }),
);

const lowExponent = table('ruth', {
    'a cube root with rubbish after the hash': withRoot((text) => ({ info: info(text), fillers: 8 })),
    'a cube root with rubbish after the hash and no padding': withRoot((text) => ({
        info: info(text),
        fillers: 0,
    })),
    'a cube root with DigestInfo without NULL': withRoot((text) => ({
        info: sequence(sequence(SHA256_OID), octets(text)),
        fillers: 8,
    })),
    'a cube root of the hash without DigestInfo': withRoot((text) => ({ info: sha256(text), fillers: 8 })),
    'a perfect cube': (message) => message.setSignature(toBytes(2n, rsaNumbers(message.key).length)),
});

const N = ORDERS.p256;
const pair =
    (change: (r: bigint, s: bigint) => readonly [bigint, bigint]): Change =>
    (message) => {
        const { r, s } = numbersOf(message.signature);
        return message.setSignature(ecdsaSignature(...change(r, s)));
    };
const encoded =
    (encode: (r: bigint, s: bigint) => Uint8Array): Change =>
    (message) => {
        const { r, s } = numbersOf(message.signature);
        return message.setSignature(encode(r, s));
    };

/** An INTEGER with these bytes, needed or not. */
const integer = (...content: Uint8Array[]): Buffer => der(0x02, Buffer.concat(content));
const ZERO = Buffer.alloc(1);

const ecdsa = table('erin', {
    'r = s = 0': pair(() => [0n, 0n]),
    'r = 0': pair((_, s) => [0n, s]),
    's = 0': pair((r) => [r, 0n]),
    'r = s = 1': pair(() => [1n, 1n]),
    'r = n': pair((_, s) => [N, s]),
    's = n': pair((r) => [r, N]),
    'r = s = n': pair(() => [N, N]),
    'r + n': pair((r, s) => [r + N, s]),
    's + n': pair((r, s) => [r, s + N]),
    'r and s exchanged': pair((r, s) => [s, r]),
    'n − r': pair((r, s) => [N - r, s]),
    'r and s of P-521': pair((r, s) => [r << 256n, s << 256n]),
    '−r': encoded((r, s) => derSequence(integer(toBytes((1n << 264n) - r, 33)), derInteger(s))),
    's − n, which is negative': encoded((r, s) =>
        derSequence(derInteger(r), integer(toBytes((1n << 264n) + s - N, 33))),
    ),
    'r with a zero before it': encoded((r, s) => derSequence(integer(ZERO, ZERO, toBytes(r)), derInteger(s))),
    's with a zero before it': encoded((r, s) => derSequence(derInteger(r), integer(ZERO, ZERO, toBytes(s)))),
    'bytes after it': encoded((r, s) => Buffer.concat([ecdsaSignature(r, s), Buffer.from([5, 0])])),
    'bytes after s': encoded((r, s) => derSequence(derInteger(r), derInteger(s), Buffer.from([5, 0]))),
    'three numbers': encoded((r, s) => derSequence(derInteger(r), derInteger(s), derInteger(1n))),
    'one number': encoded((r) => derSequence(derInteger(r))),
    'no numbers': encoded(() => derSequence()),
    'its length in the long form': encoded((r, s) => {
        const [tag = 0, ...rest] = ecdsaSignature(r, s);
        return Buffer.from([tag, 0x81, ...rest]);
    }),
    'its length not told': encoded((r, s) =>
        Buffer.concat([Buffer.from([0x30, 0x80]), derInteger(r), derInteger(s), Buffer.alloc(2)]),
    ),
    'a SET': encoded((r, s) => der(0x31, Buffer.concat([derInteger(r), derInteger(s)]))),
    'OCTET STRINGs': encoded((r, s) => derSequence(der(4, toBytes(r, 32)), der(4, toBytes(s, 32)))),
    'r and s side by side': encoded((r, s) => Buffer.concat([toBytes(r, 32), toBytes(s, 32)])),
    'the form of SSH': encoded((r, s) => {
        const field = (content: Buffer) => Buffer.concat([toBytes(BigInt(content.length), 4), content]);
        return Buffer.concat([
            field(Buffer.from([0, ...toBytes(r)])),
            field(Buffer.from([0, ...toBytes(s)])),
        ]);
    }),
});

const dsa = table('dan', {
    'r = s = 0': pair(() => [0n, 0n]),
    'r = 0': pair((_, s) => [0n, s]),
    's = 0': pair((r) => [r, 0n]),
    'r = s = 1': pair(() => [1n, 1n]),
    'bytes after it': encoded((r, s) => Buffer.concat([ecdsaSignature(r, s), Buffer.from([5, 0])])),
    'r and s side by side': encoded((r, s) => Buffer.concat([toBytes(r, 20), toBytes(s, 20)])),
});

/** The two halves of a signature of Ed25519, numbers with the lowest byte first. */
const halves =
    (change: (R: Buffer, S: bigint) => readonly [Buffer, bigint]): Change =>
    (message) => {
        const { signature } = message;
        const [R, S] = change(
            signature.subarray(0, 32),
            toNumber(Buffer.from(signature.subarray(32)).reverse()),
        );
        return message.setSignature(Buffer.concat([R, toBytes(S, 32).reverse()]));
    };

const ed25519 = [
    ...table('edith', {
        'S + L': halves((R, S) => [R, S + ORDERS.ed25519]),
        'S + 2 L': halves((R, S) => [R, S + 2n * ORDERS.ed25519]),
        'S = L': halves((R) => [R, ORDERS.ed25519]),
        'S = 0': halves((R) => [R, 0n]),
        'L − S': halves((R, S) => [R, ORDERS.ed25519 - S]),
        'S with its highest bit': halves((R, S) => [R, S | (1n << 255n)]),
        'R of the other sign': halves((R, S) => [
            Buffer.from(R.map((byte, n) => (n === 31 ? byte ^ 0x80 : byte))),
            S,
        ]),
        'R and S exchanged': bytes((it) => Buffer.concat([it.subarray(32), it.subarray(0, 32)])),
        'in DER': bytes((it) => der(0x04, it)),
        'of the SHA-512 of the text': (message) =>
            message.sign({ text: sha256(message.text).toString('latin1') }),
    }),
    ...SMALL_POINTS.flatMap((point) => {
        const name = `R of small order ${point.toString('hex', 0, 2)}…${point.toString('hex', 30)}, S = 0`;
        return table('edith', { [name]: halves(() => [point, 0n]) });
    }),
];

/** What verifies with keys that everybody can sign with, were they anybody's. */
const weakKeys: Forgery[] = [
    ...SMALL_POINTS.map((point): Forgery => ({
        name: `a signature for a key of small order, R = ${point.toString('hex', 0, 2)}…${point.toString('hex', 30)}`,
        says: REFUSED,
        forge: (message) =>
            message
                .setParameter('keyId', 'unusable')
                .setParameter('algorithm', 'ed25519')
                .setSignature(Buffer.concat([point, Buffer.alloc(32)])),
    })),
    {
        name: 'a signature for an RSA key with the exponent 1',
        says: REFUSED,
        forge: (message) => {
            const block = paddedBlock(TRIVIAL_RSA_LENGTH, { info: info(message.text) });
            return message.setParameter('keyId', 'unusable').setSignature(block);
        },
    },
];

export const signatures: readonly Forgery[] = [
    ...encodings,
    ...anyKey,
    ...rsa,
    ...lowExponent,
    ...ecdsa,
    ...dsa,
    ...ed25519,
    ...weakKeys,
];
