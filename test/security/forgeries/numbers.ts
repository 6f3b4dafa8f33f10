/** The arithmetic of forgeries: numbers in bytes, DER and the forms that signatures have inside. */
import { constants, createHash, createPublicKey, privateEncrypt } from 'node:crypto';
import type { TestKey } from '../../support/keys';

export const toNumber = (bytes: Uint8Array): bigint => BigInt(`0x0${Buffer.from(bytes).toString('hex')}`);

/** Big-endian, in at least so many bytes. */
export function toBytes(number: bigint, length = 0): Buffer {
    const hex = number.toString(16);
    const bytes = Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex');
    return Buffer.concat([Buffer.alloc(Math.max(0, length - bytes.length)), bytes]);
}

/** A value of DER, its length in the shortest form. */
export function der(tag: number, content: Uint8Array): Buffer {
    const { length } = content;
    const size =
        length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 255];
    return Buffer.concat([Buffer.from([tag, ...size]), content]);
}

/** An INTEGER, not negative. */
export function derInteger(number: bigint): Buffer {
    const bytes = toBytes(number);
    return der(0x02, bytes[0]! >= 0x80 ? Buffer.concat([Buffer.from([0]), bytes]) : bytes);
}

export const derSequence = (...parts: Uint8Array[]): Buffer => der(0x30, Buffer.concat(parts));

export const ecdsaSignature = (r: bigint, s: bigint): Buffer => derSequence(derInteger(r), derInteger(s));

/** The two numbers of an ECDSA or DSA signature. */
export function numbersOf(signature: Buffer): { r: bigint; s: bigint } {
    // Both lengths and that of the sequence, which has two bytes where it is over 127.
    const start = signature[1]! < 0x80 ? 2 : 3;
    const rLength = signature[start + 1]!;
    const rest = start + 2 + rLength;
    return {
        r: toNumber(signature.subarray(start + 2, rest)),
        s: toNumber(signature.subarray(rest + 2, rest + 2 + signature[rest + 1]!)),
    };
}

/** Orders of the groups that the keys are in. */
export const ORDERS = {
    p256: BigInt('0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551'),
    ed25519: 2n ** 252n + 27742317777372353535851937790883648493n,
};

/** The numbers of an RSA key. */
export function rsaNumbers({ privateKey }: TestKey): { n: bigint; e: bigint; length: number } {
    const { n = '', e = '' } = createPublicKey(privateKey).export({ format: 'jwk' });
    const modulus = Buffer.from(n, 'base64url');
    return { n: toNumber(modulus), e: toNumber(Buffer.from(e, 'base64url')), length: modulus.length };
}

/** DigestInfo of SHA-256 up to the hash, as RFC 8017 §9.2 writes it. */
export const SHA256_INFO = Buffer.from('3031300d060960864801650304020105000420', 'hex');

export const sha256 = (text: string): Buffer => createHash('sha256').update(text).digest();

export interface Padding {
    /** What stands for DigestInfo, hash included. */
    info: Buffer;
    /** Block type; 1 for signatures. */
    type?: number;
    filler?: number;
    /** Bytes of filler; by default as many as there is room for. */
    fillers?: number;
    /** After the hash. */
    trailing?: Buffer;
}

/** A block of PKCS #1 v1.5, right or wrong. */
export function paddedBlock(
    length: number,
    { info, type = 1, filler = 0xff, fillers, trailing }: Padding,
): Buffer {
    const rest = trailing ?? Buffer.alloc(0);
    const count = fillers ?? length - 3 - info.length - rest.length;
    const block = Buffer.concat([
        Buffer.from([0, type]),
        Buffer.alloc(count, filler),
        Buffer.from([0]),
        info,
        rest,
    ]);
    return Buffer.concat([block, Buffer.alloc(length - block.length)]);
}

/** The signature of which the block is the content: the private key's operation without any padding. */
export const signBlock = ({ privateKey }: TestKey, block: Buffer): Buffer =>
    privateEncrypt({ key: privateKey, padding: constants.RSA_NO_PADDING }, block);

/** The largest number whose cube is not larger. */
export function cubeRoot(number: bigint): bigint {
    let low = 0n;
    let high = 1n << BigInt(Math.ceil(number.toString(2).length / 3) + 1);
    while (high - low > 1n) {
        const middle = (low + high) / 2n;
        if (middle ** 3n <= number) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}
