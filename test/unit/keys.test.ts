/** Lines with public keys (auth.md §4). */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sshpk from 'sshpk';
import { parseKey } from '../../lib/auth/keys';
import { makeKey, type TestKey, type TestKeyType } from '../support/keys';

/** A line for a key of this size, which ssh-keygen may refuse to make. */
function rsaLine(bits: number): string {
    const { publicKey } = generateKeyPairSync('rsa', {
        modulusLength: bits,
        publicKeyEncoding: { type: 'spki', format: 'pem' },
        privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    });
    return sshpk.parseKey(publicKey, 'pem').toString('ssh');
}

/** A line made of the fields of a key, each with its length before it. */
function lineOf(type: string, ...fields: (string | Buffer)[]): string {
    const parts = [type, ...fields].flatMap((field) => {
        const bytes = Buffer.from(field);
        const length = Buffer.alloc(4);
        length.writeUInt32BE(bytes.length);
        return [length, bytes];
    });
    return `${type} ${Buffer.concat(parts).toString('base64')}`;
}

describe('Key lines', () => {
    let folder: string;
    const keys = new Map<TestKeyType, TestKey>();
    const lineOfType = (type: TestKeyType) => keys.get(type)?.publicLine ?? '';

    before(() => {
        folder = mkdtempSync(join(tmpdir(), 'imgapi-test-keys-'));
        for (const type of ['rsa', 'dsa', 'ecdsa', 'ed25519'] as const) {
            keys.set(type, makeKey(folder, type, type));
        }
    });
    after(() => rmSync(folder, { recursive: true }));

    it('are read as ssh-keygen writes them', () => {
        for (const [type, { publicLine, privateKeyFile }] of keys) {
            const key = parseKey(publicLine);
            assert.equal(key.type, type);
            // Newer versions of ssh-keygen do not know DSA any more.
            if (type !== 'dsa') {
                const shown = execFileSync('ssh-keygen', ['-l', '-f', `${privateKeyFile}.pub`]).toString();
                assert.equal(key.fingerprint, shown.split(' ')[1]);
            }
        }
    });

    it('may do without a comment, have spaces in it and blanks around', () => {
        const [prefix, encoded] = lineOfType('rsa').split(' ');
        const { fingerprint } = parseKey(lineOfType('rsa'));
        for (const line of [
            `${prefix} ${encoded}`,
            `${prefix} ${encoded} `,
            `${prefix} ${encoded} a  comment\tof alice`,
            `  ${prefix} ${encoded}\r\n`,
        ]) {
            assert.equal(parseKey(line).fingerprint, fingerprint, JSON.stringify(line));
        }
    });

    it('may call DSA by either name', () => {
        const line = lineOfType('dsa').replace('ssh-dss', 'ssh-dsa');
        assert.equal(parseKey(line).fingerprint, parseKey(lineOfType('dsa')).fingerprint);
    });

    it('give the same key again as long as it is in use', () => {
        const first = parseKey(lineOfType('ed25519'));
        assert.equal(parseKey(`${lineOfType('ed25519')} of somebody else`), first);
    });

    it('are refused in any other form, with the reason', () => {
        const line = lineOfType('rsa');
        const [prefix, encoded = ''] = line.split(' ');
        const refused: [string, RegExp][] = [
            ['', /begins with ""/],
            ['not a key', /begins with "not"/],
            [`from="10.0.0.1" ${line}`, /begins with "from=/],
            [`no-pty,${line}`, /begins with "no-pty,ssh-rsa"/],
            [line.replace(' ', '\t'), /begins with "ssh-rsa\\tAAAA/],
            [line.replace(' ', '  '), /base64/],
            [`${prefix}`, /base64/],
            [`${prefix} not-base64`, /base64/],
            [`${prefix} ${encoded.slice(0, -1)}`, /base64/],
            [`${prefix} ${encoded.slice(0, 40)}`, /damaged/],
            [`${prefix} ${Buffer.from('ssh-rsa').toString('base64')}`, /another type/],
            [`ssh-dss ${encoded}`, /another type/],
            [lineOfType('ecdsa').replace('256', '384'), /another type/],
            [`sk-${lineOfType('ed25519')}`, /begins with "sk-ssh-ed25519"/],
            [`ssh-rsa-cert-v01@openssh.com ${encoded}`, /begins with/],
            ['constructor AAAA', /begins with "constructor"/],
            [lineOf('ssh-ed25519', Buffer.alloc(33, 1)), /damaged/],
            [lineOf('ecdsa-sha2-nistp256', 'nistp256', Buffer.alloc(65, 4)), /damaged/],
            [lineOf('ecdsa-sha2-nistp256', 'nistp384', Buffer.alloc(65, 4)), /damaged/],
        ];
        for (const [text, reason] of refused) {
            assert.throws(() => parseKey(text), reason, text);
        }
    });

    it('are refused if the key is too weak to mean anything', () => {
        assert.equal(parseKey(rsaLine(1024)).type, 'rsa');
        assert.throws(() => parseKey(rsaLine(1023)), /1023 bits; it needs 1024/);
        assert.throws(() => parseKey(rsaLine(512)), /512 bits/);
        const modulus = Buffer.concat([Buffer.from([0, 0x80]), Buffer.alloc(255, 1)]);
        assert.throws(() => parseKey(lineOf('ssh-rsa', Buffer.from([1]), modulus)), /public exponent/);
    });
});
