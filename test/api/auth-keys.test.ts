/** The keys that signatures are made with (auth.md §4). */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { assertError, type Answer } from '../support/api';
import { makeKey, signedHeaders, type Signing, type TestKey, type TestKeyType } from '../support/keys';
import { Registry, testKeys } from '../support/registry';

/** Every kind of key, with the algorithms that it signs with. */
const KINDS: { type: TestKeyType; bits?: string; algorithms: string[] }[] = [
    { type: 'rsa', algorithms: ['rsa-sha1', 'rsa-sha256', 'rsa-sha512'] },
    { type: 'dsa', algorithms: ['dsa-sha1'] },
    { type: 'ecdsa', bits: '256', algorithms: ['ecdsa-sha256', 'ecdsa-sha512'] },
    { type: 'ecdsa', bits: '384', algorithms: ['ecdsa-sha384', 'ecdsa-sha256'] },
    { type: 'ecdsa', bits: '521', algorithms: ['ecdsa-sha512'] },
    { type: 'ed25519', algorithms: ['ed25519', 'ed25519-sha512'] },
];

describe('Authentication: §4 keys', () => {
    let registry: Registry;
    const [first, second] = testKeys();
    const keys: { key: TestKey; type: TestKeyType; algorithms: string[] }[] = [];

    before(async () => {
        const folder = mkdtempSync(join(tmpdir(), 'imgapi-test-keys-'));
        for (const { type, bits, algorithms } of KINDS) {
            keys.push({ key: makeKey(folder, `${type}${bits ?? ''}`, type, bits), type, algorithms });
        }
        rmSync(folder, { recursive: true });
        registry = await Registry.start({
            authKeys: {
                bob: [
                    'not a key',
                    `from="10.0.0.1" ${first.publicLine}`,
                    first.publicLine,
                    second.publicLine,
                ],
                carol: keys.map(({ key }) => key.publicLine),
                'dotted.name': [first.publicLine],
            },
        });
    });
    after(() => registry.stop());

    const ask = (user: string, key: TestKey, signing: Signing = {}): Promise<Answer> =>
        registry.anonymous.get('/ping', signedHeaders(user, key, signing));

    it('any key of a user counts; lines that are no usable key are passed over', async () => {
        for (const key of [first, second]) {
            assert.equal((await ask('bob', key)).status, 200);
        }
        const skipped = await registry.server.logged(({ level, user }) => level === 40 && user === 'bob');
        assert.ok(skipped);
    });

    it('user names are taken as they stand', async () => {
        const answer = await ask('dotted.name', first);
        assert.equal((answer.json as { user?: string }).user, 'dotted.name');
    });

    it('sign with the algorithms of their type, in any case and with the algorithm signed as well', async () => {
        for (const { key, algorithms } of keys) {
            for (const name of algorithms.flatMap((algorithm) => [algorithm, algorithm.toUpperCase()])) {
                for (const signed of [['date'], ['(algorithm)', 'date']]) {
                    const { status, text } = await ask('carol', key, { algorithm: name, signed });
                    assert.equal(status, 200, `${key.algorithm}, ${name}: ${text}`);
                }
            }
        }
    });

    it('do not count for the algorithms of other types', async () => {
        for (const { key, type } of keys) {
            for (const { algorithms } of KINDS.filter((other) => other.type !== type)) {
                const { authorization, ...headers } = signedHeaders('carol', key);
                const answer = await registry.anonymous.get('/ping', {
                    ...headers,
                    authorization: authorization.replace(
                        /algorithm="[^"]*"/,
                        `algorithm="${algorithms[0] ?? ''}"`,
                    ),
                });
                assertError(answer, 401, 'UnauthorizedError');
                assert.match(answer.error.message, /user "carol"/);
            }
        }
    });

    it('work with any of their algorithms only as long as the text is the one that was signed', async () => {
        for (const { key } of keys) {
            const headers = signedHeaders('carol', key);
            const answer = await registry.anonymous.get('/ping', {
                ...headers,
                date: new Date(Date.parse(headers.date) + 1000).toUTCString(),
            });
            assertError(answer, 401, 'UnauthorizedError');
        }
    });
});
