/** Requests signed by code that is none of ours, the npm package http-signature, with keys that OpenSSH made. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { json } from 'node:stream/consumers';
import httpSignature, { type SignRequestOptions } from 'http-signature';
import { FILE, MANIFEST, type Manifest } from '../support/api';
import { makeKey } from '../support/keys';
import { Registry } from '../support/registry';

interface SshKey {
    publicLine: string;
    /** The file's text. */
    privateKey: string;
}

function sshKeygen(folder: string, name: string, ...options: string[]): SshKey {
    const file = join(folder, name);
    execFileSync('ssh-keygen', ['-q', '-N', '', '-C', 'me@home', '-f', file, ...options]);
    return { publicLine: readFileSync(`${file}.pub`, 'utf8').trim(), privateKey: readFileSync(file, 'utf8') };
}

/** As `ssh-keygen` makes them; but for DSA, which newer versions do not make. */
const KEYS: Readonly<Record<string, { make: (folder: string) => SshKey; algorithms: readonly string[] }>> = {
    'RSA, 2048 bits': {
        make: (folder) => sshKeygen(folder, 'rsa', '-t', 'rsa', '-b', '2048'),
        algorithms: ['rsa-sha1', 'rsa-sha256', 'rsa-sha512', 'RSA-SHA256'],
    },
    'RSA, 4096 bits, in PEM': {
        make: (folder) => sshKeygen(folder, 'rsa4096', '-t', 'rsa', '-b', '4096', '-m', 'PEM'),
        algorithms: ['rsa-sha256'],
    },
    'ECDSA, P-256': {
        make: (folder) => sshKeygen(folder, 'p256', '-t', 'ecdsa', '-b', '256'),
        algorithms: ['ecdsa-sha256', 'ecdsa-sha512'],
    },
    'ECDSA, P-256, in PEM': {
        make: (folder) => sshKeygen(folder, 'p256pem', '-t', 'ecdsa', '-b', '256', '-m', 'PEM'),
        algorithms: ['ecdsa-sha256'],
    },
    // The signer knows no SHA-384, which it would have to take by itself.
    'ECDSA, P-384': {
        make: (folder) => sshKeygen(folder, 'p384', '-t', 'ecdsa', '-b', '384'),
        algorithms: ['ecdsa-sha256', 'ecdsa-sha512'],
    },
    'ECDSA, P-521': {
        make: (folder) => sshKeygen(folder, 'p521', '-t', 'ecdsa', '-b', '521'),
        algorithms: ['ecdsa-sha512', 'ecdsa-sha256'],
    },
    Ed25519: {
        make: (folder) => sshKeygen(folder, 'ed25519', '-t', 'ed25519'),
        algorithms: ['ed25519-sha512'],
    },
    DSA: {
        make: (folder) => {
            const { publicLine, privateKeyFile } = makeKey(folder, 'dsa', 'dsa');
            return { publicLine, privateKey: readFileSync(privateKeyFile, 'utf8') };
        },
        algorithms: ['dsa-sha1'],
    },
};

/** What clients sign; undefined leaves it to the signer. */
const LISTS: readonly (readonly string[] | undefined)[] = [
    undefined,
    ['date'],
    ['date', 'request-line'],
    ['(request-target)', 'host', 'date'],
    ['Date', 'User-Agent'],
    ['(request-target)', '(keyid)', '(algorithm)', 'date'],
    ['x-date', 'date', 'accept'],
];

const user = (name: string): string => name.toLowerCase().replace(/\W+/g, '-');

describe('Requests signed by http-signature', () => {
    let registry: Registry;
    const keys = new Map<string, SshKey>();
    before(async () => {
        const folder = mkdtempSync(join(tmpdir(), 'imgapi-test-keys-'));
        try {
            Object.entries(KEYS).forEach(([name, { make }]) => keys.set(name, make(folder)));
        } finally {
            rmSync(folder, { recursive: true });
        }
        const authKeys = Object.fromEntries(
            [...keys].map(([name, { publicLine }]) => [user(name), [publicLine]]),
        );
        registry = await Registry.start({ authKeys });
    });
    after(() => registry.stop());

    interface Sending extends Omit<SignRequestOptions, 'keyId' | 'key'> {
        method?: string;
        body?: Buffer | string;
        type?: string;
    }

    /** Has it signed, and sends it. */
    async function request(
        name: string,
        path: string,
        { method = 'GET', body, type = 'application/json', ...options }: Sending,
    ): Promise<{ status: number | undefined; body: unknown }> {
        const headers = { accept: 'application/json', 'user-agent': 'interop' };
        const content = body === undefined ? {} : { 'content-type': type, 'content-length': body.length };
        const req = http.request(registry.url + path, { method, headers: { ...headers, ...content } });
        if (options.headers?.includes('x-date')) {
            req.setHeader('x-date', new Date().toUTCString());
        }
        const key = keys.get(name);
        assert.ok(key);
        httpSignature.signRequest(req, { keyId: user(name), key: key.privateKey, ...options });
        return new Promise((resolve, reject) => {
            req.once('error', reject).once('response', (res) => {
                const { statusCode: status } = res;
                if (status === 204) {
                    res.resume().once('end', () => resolve({ status, body: undefined }));
                } else {
                    json(res).then((answered) => resolve({ status, body: answered }), reject);
                }
            });
            req.end(body);
        });
    }

    for (const [name, { algorithms }] of Object.entries(KEYS)) {
        it(`are taken with a key of ${name}`, async () => {
            for (const algorithm of algorithms) {
                for (const headers of LISTS) {
                    const sending = { algorithm, ...(headers && { headers: [...headers] }) };
                    const { status, body } = await request(name, '/ping?x=%20y', sending);
                    assert.equal(status, 200, `${algorithm}, ${String(headers)}: ${JSON.stringify(body)}`);
                    assert.equal((body as { user?: string }).user, user(name));
                }
            }
        });
    }

    it('are taken with the algorithm that the signer chooses', async () => {
        for (const name of Object.keys(KEYS).filter((key) => !/P-384|DSA$/.test(key))) {
            const { status, body } = await request(name, '/state', {});
            assert.equal(status, 200, `${name}: ${JSON.stringify(body)}`);
        }
    });

    it('are taken from the first step of an image to its last', async () => {
        for (const name of ['RSA, 2048 bits', 'ECDSA, P-256', 'Ed25519']) {
            const ask = async (path: string, sending: Sending = {}): Promise<Manifest> => {
                const headers = [
                    '(request-target)',
                    'host',
                    'date',
                    ...(sending.body ? ['content-length'] : []),
                ];
                const { status, body } = await request(name, path, { headers, ...sending });
                assert.ok(status === 200 || status === 204, `${path}: ${JSON.stringify(body)}`);
                return body as Manifest;
            };
            const { uuid } = await ask('/images', { method: 'POST', body: JSON.stringify(MANIFEST) });
            const type = 'application/octet-stream';
            await ask(`/images/${uuid}/file?compression=none`, { method: 'PUT', body: FILE, type });
            const { state } = await ask(`/images/${uuid}?action=activate`, { method: 'POST', body: '{}' });
            assert.equal(state, 'active');
            await ask(`/images/${uuid}`, { method: 'DELETE' });
        }
    });

    it('are refused with the key of another user', async () => {
        const [rsa = ''] = keys.keys();
        for (const name of [...keys.keys()].slice(1)) {
            const { privateKey } = keys.get(name)!;
            const [algorithm] = KEYS[name]!.algorithms;
            const options = { key: privateKey, ...(algorithm !== undefined && { algorithm }) };
            const { status, body } = await request(rsa, '/ping', options);
            assert.deepEqual([status, (body as { code: string }).code], [401, 'UnauthorizedError'], name);
        }
    });
});
