/** Public keys with which everybody can sign; a server must not have them for anybody's. */
import { toBytes } from './numbers';

const field = (bytes: Buffer): Buffer => Buffer.concat([toBytes(BigInt(bytes.length), 4), bytes]);

/** A line as `ssh-keygen` writes it. */
const keyLine = (type: string, ...fields: Buffer[]): string =>
    `${type} ${Buffer.concat([Buffer.from(type), ...fields].map(field)).toString('base64')} weak`;

/** Points of Ed25519 of small order, in all their encodings that have been taken for points. */
export const SMALL_POINTS: readonly Buffer[] = [
    '0100000000000000000000000000000000000000000000000000000000000000',
    '0100000000000000000000000000000000000000000000000000000000000080',
    'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',
    '0000000000000000000000000000000000000000000000000000000000000000',
    '0000000000000000000000000000000000000000000000000000000000000080',
    '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
    '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85',
    'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
    'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa',
    'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',
    'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',
].map((hex) => Buffer.from(hex, 'hex'));

export const smallPointLines = SMALL_POINTS.map((point) => keyLine('ssh-ed25519', point));

/** Length of the modulus, in bytes. */
export const TRIVIAL_RSA_LENGTH = 256;
const modulus = Buffer.concat([Buffer.from([0]), Buffer.alloc(TRIVIAL_RSA_LENGTH, 0xc5)]);

/** A signature is its own content. */
export const trivialRsaLine = keyLine('ssh-rsa', Buffer.from([1]), modulus);
