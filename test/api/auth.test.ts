/** HTTP Signature (auth.md §1–3). */
import assert from 'node:assert/strict';
import { assertError, at, FILE, MANIFEST, type Answer, type RequestHeaders } from '../support/api';
import { signedHeaders, type Signing, type TestKey } from '../support/keys';
import { Registry, testKeys } from '../support/registry';

/** A strict and a passive route. */
const STRICT = '/state';
const PASSIVE = '/ping';

interface Asking extends Signing {
    keyId?: string;
    key?: TestKey;
    /** Changes the finished Authorization header. */
    edit?: (authorization: string) => string;
}

describe('Authentication', () => {
    let registry: Registry;
    const [first, second] = testKeys();

    before(async () => {
        registry = await Registry.start({
            authKeys: {
                alice: [first.publicLine],
                bob: [first.publicLine, second.publicLine],
                nobody: [],
            },
        });
    });
    after(() => registry.stop());

    /** Headers of a request signed in any way. */
    function sign(
        path: string,
        { keyId = 'alice', key = first, edit, ...signing }: Asking = {},
    ): RequestHeaders {
        const headers = signedHeaders(keyId, key, { path, ...signing });
        return { ...headers, authorization: edit?.(headers.authorization) ?? headers.authorization };
    }
    const ask = (options: Asking = {}, path = STRICT): Promise<Answer> =>
        registry.anonymous.get(path, sign(path, options));

    async function refused(options: Asking, message: RegExp, path = STRICT): Promise<void> {
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
        const SYNTAX = /parameters .* cannot be read/;

        it('1: no Authorization header', async () => {
            const { error } = await registry.anonymous.get(STRICT);
            assert.match(error.message, /needs an Authorization header/);
        });
        it('2: syntax of the parameters, also before the scheme', async () => {
            await refused(edit(/",/g, '", '), SYNTAX);
            await refused(edit(/keyId=/, 'key-Id='), SYNTAX);
            await refused(edit(/"alice"/, 'alice'), SYNTAX);
            await refused(edit(/^Signature keyId="alice"/, 'Basic keyId="alice" '), SYNTAX);
            await refused(edit(/^Signature/, 'Signature created=5,'), SYNTAX);
        });
        it('2: parameters that are numbers, which the original did not take', async () => {
            for (const number of ['keyId="alice"', 'algorithm="[^"]*"', 'signature="[^"]*"']) {
                await refused(edit(new RegExp(number), number.replace(/".*/, '5')), SYNTAX);
            }
            await refused(edit(/signature/, 'headers=5,signature'), SYNTAX);
            await refused(edit(/$/, ',created=5'), SYNTAX);
            assert.equal((await ask(edit(/signature/, 'other="a=5",signature'))).status, 200);
        });
        it('3: scheme', async () => {
            for (const scheme of ['Basic', 'signature', 'SIGNATURE', 'Bearer']) {
                await refused(edit(/^Signature/, scheme), /scheme/);
            }
        });
        it('4: keyId', async () => {
            await refused(edit(/keyId="alice",/, ''), /"keyId"/);
            await refused({ keyId: '' }, /"keyId"/);
            await refused(edit(/^.*$/, 'Signature foo'), /"keyId"/);
        });
        it('5: algorithm', () => refused(edit(/algorithm="[^"]*",/, ''), /"algorithm"/));
        it('6: signature', async () => {
            await refused(edit(/,signature=.*$/, ''), /"signature"/);
            await refused(edit(/signature=".*"$/, 'signature=""'), /"signature"/);
            await refused(edit(/"$/, ''), /"signature"/);
            await refused(edit(/signature=/, 'xsignature='), /"signature"/);
        });
        it('7: algorithms that nobody knows', async () => {
            for (const algorithm of [
                'rsa-md5',
                'rsa-sha384',
                'dsa-sha256',
                'ecdsa',
                'ecdsa-sha1',
                'ed25519-sha256',
                'hmac-sha384',
                'none',
                'constructor',
                'constructor-sha256',
                'rsa-constructor',
                '__proto__-__proto__',
            ]) {
                await refused(edit(/rsa-sha256/, algorithm), new RegExp(`is "${algorithm}".*ecdsa-sha256`));
            }
        });
        it('8: a signed header that is not in the request', async () => {
            for (const name of [
                'x-absent',
                'constructor',
                'signature',
                '(created)',
                '(expires)',
                '(opaque)',
            ]) {
                await refused({ signed: ['date', name] }, new RegExp(`"${name.replace(/[()]/g, '\\$&')}"`));
            }
            const { authorization = '' } = sign(STRICT);
            const answer = await registry.anonymous.get(STRICT, { authorization });
            assertError(answer, 401, 'UnauthorizedError');
            assert.match(answer.error.message, /"date"/);
        });
        it('9: a clock that is off by more than 300 s', async () => {
            for (const seconds of [-310, 310, -86_400, 86_400]) {
                await refused({ date: new Date(Date.now() + seconds * 1000) }, /300 s/);
            }
            for (const seconds of [-290, 290]) {
                assert.equal((await ask({ date: new Date(Date.now() + seconds * 1000) })).status, 200);
            }
        });
        it('9: a date that is none', async () => {
            for (const date of ['yesterday', '', '99999999999999999999']) {
                await refused({ date }, /"date" is "\w*", which is no date/);
            }
        });
        it('10: the date has to be signed', async () => {
            await refused({ signed: ['request-line'] }, /"date"/);
            await refused({ signed: ['host'], headers: { host: 'imgapi' } }, /"date"/);
            await refused({ signed: ['date'], headers: { 'x-date': new Date().toUTCString() } }, /"x-date"/);
        });
        it('11: algorithms that are blocked', async () => {
            for (const algorithm of ['hmac-sha256', 'hmac-sha1', 'HMAC-SHA512']) {
                await refused(edit(/rsa-sha256/, algorithm), new RegExp(`${algorithm}.*secret`, 'i'));
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
                await refused({ keyId }, new RegExp(`user "${keyId}"`));
            }
        });
        it('13: no key of the user verifies', async () => {
            await refused({ key: second }, /alice/);
            await refused({ keyId: 'nobody' }, /nobody/);
            await refused(edit(/signature=".{4}/, 'signature="AAAA'), /alice/);
            await refused(edit(/rsa-sha256/, 'rsa-sha1'), /alice/);
        });
        it('13: no signature is written as this one', async () => {
            await refused(edit(/signature="[^"]*"/, 'signature="!"'), /base64/);
            await refused(edit(/=+"$/, '"'), /base64/);
        });
        it('12 and 13 are told in the same words', async () => {
            const messages: string[] = [];
            for (const options of [{ keyId: 'mallory' }, { keyId: 'nobody' }, { key: second }]) {
                const { error } = await ask(options);
                messages.push(error.message.replace(/mallory|nobody|alice/g, 'NAME'));
            }
            assert.equal(new Set(messages).size, 1, messages.join('\n'));
        });

        it('is the one that is told, whatever else fails after it', async () => {
            const replaced = (from: RegExp, to: string) => (text: string) => text.replace(from, to);
            const steps: [RegExp, Asking][] = [
                [/user "mallory"/, { keyId: 'mallory' }],
                [/hmac-sha256/, { edit: replaced(/rsa-sha256/, 'hmac-sha256') }],
                [/does not cover "date"/, { signed: ['host'], headers: { host: 'imgapi' } }],
                [/300 s/, { date: new Date(0) }],
                [/"x-absent"/, { signed: ['x-absent'] }],
                [/rsa-md5/, { edit: replaced(/hmac-sha256/, 'rsa-md5') }],
                [/"signature"/, { edit: replaced(/signature="[^"]*"/, 'signature=""') }],
                [/"algorithm"/, { edit: replaced(/algorithm="[^"]*"/, 'algorithm=""') }],
                [/"keyId"/, { edit: replaced(/keyId="[^"]*"/, 'keyId=""') }],
                [/scheme/, { edit: replaced(/^Signature/, 'Basic') }],
                [SYNTAX, { edit: replaced(/,/, ', ') }],
            ];
            let faults: Asking = {};
            for (const [message, fault] of steps) {
                const former = faults.edit ?? ((text: string) => text);
                const latest = fault.edit ?? ((text: string) => text);
                faults = { ...faults, ...fault, edit: (text) => latest(former(text)) };
                await refused(faults, message);
            }
        });

        it('values in messages are cut and have no control characters', async () => {
            const { error } = await ask({ keyId: 'm'.repeat(4000) });
            assert.ok(error.message.length < 400, error.message);
            const { error: odd } = await ask({ keyId: 'tab\tand\u00e9' });
            assert.match(odd.message, /user "tab\\tand\\u00e9"/);
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
                ['(request-target)', 'date'],
                ['(keyid)', '(algorithm)', 'date'],
                ['host', 'date'],
                ['x-other', 'date'],
            ]) {
                const headers = { host: 'imgapi', 'x-other': 'some value' };
                const answer = await registry.anonymous.get(path, sign(path, { signed, headers }));
                assert.equal((answer.json as { user?: string }).user, 'alice', signed.join());
            }
            for (const target of ['request-line', '(request-target)']) {
                const stolen = sign(path, { signed: ['date', target] });
                assertError(await registry.anonymous.get('/images', stolen), 401, 'UnauthorizedError');
            }
        });
        it('takes x-date in place of a stale Date', async () => {
            const now = new Date().toUTCString();
            const stale = 'Thu, 01 Jan 2015 00:00:00 GMT';
            assert.equal((await ask({ date: stale, headers: { 'x-date': now } })).status, 200);
            await refused({ date: now, headers: { 'x-date': stale } }, /300/);
        });
        it('takes every signed header once', async () => {
            await refused(
                { signed: ['date', 'host', 'date'], headers: { host: 'imgapi' } },
                /more than once/,
            );
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
