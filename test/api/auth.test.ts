/** HTTP Signature (auth.md §1–4). */
import assert from 'node:assert/strict';
import { createSign } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { assertError, at, FILE, MANIFEST, type Answer, type RequestHeaders } from '../support/api';
import { makeKey, signedHeaders, type TestKey } from '../support/keys';
import { Registry, testKeys } from '../support/registry';

/** A strict and a passive route. */
const STRICT = '/state';
const PASSIVE = '/ping';

interface Signing {
    keyId?: string;
    algorithm?: string;
    key?: TestKey;
    /** Headers of the request that are named in the signature, and the text they give. */
    signed?: string[];
    date?: string;
    /** Further headers of the request. */
    headers?: Record<string, string>;
    /** Changes the finished Authorization header. */
    edit?: (authorization: string) => string;
}

describe('Authentication', () => {
    let registry: Registry;
    const [first, second] = testKeys();
    let ecdsa: TestKey;

    before(async () => {
        const folder = mkdtempSync(join(tmpdir(), 'imgapi-test-keys-'));
        ecdsa = makeKey(folder, 'ecdsa', 'ecdsa', '256');
        rmSync(folder, { recursive: true });
        registry = await Registry.start({
            authKeys: {
                alice: [first.publicLine],
                bob: [
                    'not a key',
                    ecdsa.publicLine,
                    `from="10.0.0.1" ${first.publicLine}`,
                    first.publicLine,
                    second.publicLine,
                ],
                'dotted.name': [first.publicLine],
                nobody: [],
            },
        });
    });
    after(() => registry.stop());

    /** Headers of a request signed in any way. */
    function sign(path: string, options: Signing = {}): RequestHeaders {
        const { keyId = 'alice', algorithm = 'rsa-sha256', key = first, signed, headers = {} } = options;
        const date = options.date ?? new Date().toUTCString();
        const values: Record<string, string> = { ...headers, date };
        const text = (signed ?? [headers['x-date'] === undefined ? 'date' : 'x-date'])
            .map((name) =>
                name === 'request-line' ? `GET ${path} HTTP/1.1` : `${name}: ${values[name] ?? ''}`,
            )
            .join('\n');
        const signature = createSign(algorithm.replace(/^.*-/, ''))
            .update(text)
            .sign(key.privateKey, 'base64');
        const list = signed ? `headers="${signed.join(' ')}",` : '';
        const authorization = `Signature keyId="${keyId}",algorithm="${algorithm}",${list}signature="${signature}"`;
        return { ...values, authorization: options.edit?.(authorization) ?? authorization };
    }
    const ask = (options: Signing = {}, path = STRICT): Promise<Answer> =>
        registry.anonymous.get(path, sign(path, options));

    async function refused(options: Signing, message: RegExp, path = STRICT): Promise<void> {
        const answer = await ask(options, path);
        assertError(answer, 401, 'UnauthorizedError');
        assert.match(answer.error.message, message);
        assert.equal(answer.headers['www-authenticate'], undefined);
    }

    describe('§1 route classes', () => {
        it('strict: nothing without a signature', async () => {
            assertError(await registry.anonymous.get(STRICT), 401, 'UnauthorizedError');
            assertError(
                await registry.anonymous.get(STRICT, { authorization: '' }),
                401,
                'UnauthorizedError',
            );
            assert.equal((await ask()).status, 200);
        });

        it('passive: anonymous without a signature, refused with a wrong one', async () => {
            assert.equal((await registry.anonymous.get(PASSIVE)).status, 200);
            assert.equal((await ask({}, PASSIVE)).status, 200);
            for (const path of [PASSIVE, '/images', at((await registry.client.create()).uuid)]) {
                assertError(
                    await registry.anonymous.get(path, { authorization: 'Basic x' }),
                    401,
                    'UnauthorizedError',
                );
                await refused({ keyId: 'mallory' }, /mallory/, path);
            }
        });

        it('none: the header is not looked at', async () => {
            const { uuid } = await registry.client.create();
            const headers = { authorization: 'Basic x' };
            assertError(await registry.anonymous.get(at(uuid, '/file'), headers), 404, 'ResourceNotFound');
            await registry.client.upload(uuid);
            assert.equal((await registry.anonymous.get(at(uuid, '/file'), headers)).status, 200);
            assert.equal((await registry.anonymous.get('/favicon.ico', headers)).status, 200);
            assertError(await registry.anonymous.get('/nowhere', headers), 404, 'ResourceNotFound');
            assertError(
                await registry.anonymous.request('PUT', '/ping', { headers }),
                405,
                'MethodNotAllowedError',
            );
        });

        it('strict routes authenticate before they look at the uuid, GetImage after', async () => {
            assertError(await registry.anonymous.delete(at('x')), 401, 'UnauthorizedError');
            assertError(
                await registry.anonymous.get(at('x'), { authorization: 'Basic x' }),
                404,
                'ResourceNotFound',
            );
        });

        it('signed callers may all that there is, whoever they are', async () => {
            const bob = signedHeaders('bob', second);
            const { uuid } = (await registry.anonymous.post('/images', MANIFEST, bob)).manifest;
            assert.equal((await registry.client.put(at(uuid, '/file?compression=none'), FILE)).status, 200);
            assert.equal(
                (await registry.anonymous.get('/images?state=all&inclAdminFields=true', bob)).status,
                200,
            );
        });
    });

    describe('§2 the first failing check', () => {
        const edit = (from: RegExp, to: string) => ({ edit: (text: string) => text.replace(from, to) });

        it('2: syntax of the parameters, also before the scheme', async () => {
            await refused(edit(/",/g, '", '), /bad param format/);
            await refused(edit(/keyId=/, 'key-Id='), /bad param format/);
            await refused(edit(/"alice"/, 'alice'), /bad param format/);
            await refused(edit(/^Signature keyId="alice"/, 'Basic keyId="alice" '), /bad param format/);
        });
        it('3: scheme', async () => {
            for (const scheme of ['Basic', 'signature', 'SIGNATURE', 'Bearer']) {
                await refused(edit(/^Signature/, scheme), /scheme/);
            }
        });
        it('4: keyId', async () => {
            await refused(edit(/keyId="alice",/, ''), /keyId/);
            await refused({ keyId: '' }, /keyId/);
            await refused(edit(/^.*$/, 'Signature foo'), /keyId/);
        });
        it('5: algorithm', () => refused(edit(/algorithm="[^"]*",/, ''), /algorithm/));
        it('6: signature', async () => {
            await refused(edit(/,signature=.*$/, ''), /signature/);
            await refused(edit(/signature=".*"$/, 'signature=""'), /signature/);
            await refused(edit(/"$/, ''), /signature/);
        });
        it('7: algorithms that are not taken', async () => {
            for (const algorithm of ['rsa-md5', 'ecdsa-sha256', 'ed25519', 'none', '']) {
                await refused(edit(/rsa-sha256/, algorithm), /algorithm|not supported/i);
            }
        });
        it('8: a signed header that is not in the request', async () => {
            await refused({ signed: ['date', 'x-absent'] }, /x-absent/);
            const { authorization = '' } = sign(STRICT);
            assertError(await registry.anonymous.get(STRICT, { authorization }), 401, 'UnauthorizedError');
        });
        it('9: a clock that is off by more than 300 s', async () => {
            for (const seconds of [-310, 310, -86_400, 86_400]) {
                await refused({ date: new Date(Date.now() + seconds * 1000).toUTCString() }, /300/);
            }
            for (const seconds of [-290, 290]) {
                assert.equal(
                    (await ask({ date: new Date(Date.now() + seconds * 1000).toUTCString() })).status,
                    200,
                );
            }
        });
        it('9: a date that is none', async () => {
            for (const date of ['yesterday', '0', '99999999999999999999']) {
                await refused({ date }, /Date|skew/i);
            }
        });
        it('10: the date has to be signed', async () => {
            await refused({ signed: ['request-line'] }, /date/);
            await refused({ signed: ['host'], headers: { host: 'imgapi' } }, /date/);
            await refused({ signed: ['date'], headers: { 'x-date': new Date().toUTCString() } }, /x-date/);
        });
        it('11: algorithms that are blocked', async () => {
            for (const algorithm of ['hmac-sha256', 'hmac-sha1', 'HMAC-SHA256']) {
                await refused(
                    { edit: (text) => text.replace('rsa-sha256', algorithm) },
                    new RegExp(algorithm, 'i'),
                );
            }
        });
        it('12: users that are not there', async () => {
            for (const keyId of [
                'mallory',
                'constructor',
                '__proto__',
                'toString',
                'hasOwnProperty',
                '/alice/keys/aa:bb',
                'Alice',
            ]) {
                await refused({ keyId }, /./);
            }
        });
        it('13: no key of the user verifies', async () => {
            await refused({ key: second }, /alice/);
            await refused({ keyId: 'nobody' }, /nobody/);
            await refused(edit(/signature=".{4}/, 'signature="AAAA'), /alice/);
            await refused(edit(/signature="[^"]*"/, 'signature="!"'), /alice/);
            await refused(edit(/rsa-sha256/, 'rsa-sha1'), /alice/);
        });
        it('a keyId that is a number or not quoted is no fault of the server', async () => {
            await refused(edit(/keyId="alice"/, 'keyId=5'), /./);
            await refused(edit(/signature="[^"]*"/, 'signature=5'), /./);
        });
    });

    describe('§3 grammar', () => {
        it('takes the algorithm in any case', async () => {
            assert.equal(
                (await ask({ edit: (text) => text.replace('rsa-sha256', 'RSA-SHA256') })).status,
                200,
            );
        });
        it('takes rsa-sha1', async () => {
            assert.equal((await ask({ algorithm: 'rsa-sha1' })).status, 200);
        });
        it('passes over parameters it does not know', async () => {
            assert.equal((await ask({ edit: (text) => `${text},other="x"` })).status, 200);
        });
        it('takes the last of two parameters of one name', async () => {
            assert.equal(
                (await ask({ edit: (text) => text.replace('keyId', 'keyId="bob",keyId') })).status,
                200,
            );
        });
        it('takes an empty list of headers as the default', async () => {
            assert.equal(
                (await ask({ edit: (text) => text.replace('signature=', 'headers="",signature=') })).status,
                200,
            );
        });
        it('takes signatures over more than the date', async () => {
            const path = `${PASSIVE}?a=b`;
            for (const signed of [
                ['date', 'request-line'],
                ['host', 'date'],
                ['x-other', 'date'],
            ]) {
                const headers = { host: 'imgapi', 'x-other': 'some value' };
                const answer = await registry.anonymous.get(path, sign(path, { signed, headers }));
                assert.equal((answer.json as { user?: string }).user, 'alice', signed.join());
            }
            const stolen = sign(path, { signed: ['date', 'request-line'] });
            assertError(await registry.anonymous.get('/images', stolen), 401, 'UnauthorizedError');
        });
        it('takes x-date in place of a stale Date', async () => {
            const now = new Date().toUTCString();
            const stale = 'Thu, 01 Jan 2015 00:00:00 GMT';
            assert.equal((await ask({ date: stale, headers: { 'x-date': now } })).status, 200);
            await refused({ date: now, headers: { 'x-date': stale } }, /300/);
        });
        it('takes the same signature again', async () => {
            const headers = sign(STRICT);
            for (let i = 0; i < 3; i++) {
                assert.equal((await registry.anonymous.get(STRICT, headers)).status, 200);
            }
        });
        it('takes nothing from a Signature header', async () => {
            const { authorization, ...headers } = sign(STRICT);
            const answer = await registry.anonymous.get(STRICT, {
                ...headers,
                signature: String(authorization).slice(10),
            });
            assertError(answer, 401, 'UnauthorizedError');
        });
    });

    describe('§4 keys', () => {
        it('any key of a user counts; lines that are no usable key are passed over', async () => {
            for (const key of [first, second]) {
                assert.equal((await ask({ keyId: 'bob', key })).status, 200);
            }
            const skipped = await registry.server.logged(({ level, user }) => level === 40 && user === 'bob');
            assert.ok(skipped);
        });
        it('user names are taken as they stand', async () => {
            const answer = await ask({ keyId: 'dotted.name' }, PASSIVE);
            assert.equal((answer.json as { user?: string }).user, 'dotted.name');
        });
    });

    describe('authType none', () => {
        let open: Registry;
        before(async () => {
            open = await Registry.start({ authType: 'none' });
        });
        after(() => open.stop());

        it('asks nobody and knows nobody', async () => {
            assert.equal((await open.anonymous.get(STRICT)).status, 200);
            const { json } = await open.anonymous.get(PASSIVE, { authorization: 'Basic x' });
            assert.equal((json as { user?: string }).user, undefined);
            assert.deepEqual((await open.anonymous.post('/authkeys/reload')).json, {});
            assert.equal((await open.anonymous.post('/images', MANIFEST)).status, 200);
            assert.deepEqual(
                (await open.anonymous.get('/images?state=all')).manifests,
                [],
                'only active images',
            );
            assertError(await open.anonymous.get('/images?inclAdminFields=true'), 401, 'UnauthorizedError');
        });
    });
});
