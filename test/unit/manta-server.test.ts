/** What the driver for Manta is tested against has to be like Manta itself (manta.md §2 to §4). */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import http, { type IncomingHttpHeaders } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { md5 } from '../support/api';
import { makeKey, signedHeaders, type Signing, type TestKey } from '../support/keys';
import { md5Fingerprint } from '../support/manta-accounts';
import { MantaServer } from '../support/manta-server';

const DIRECTORY = { 'content-type': 'application/json; type=directory' };

interface MantaAnswer {
    status: number;
    headers: IncomingHttpHeaders;
    body: Buffer;
    code: string | undefined;
    /** The body was asked for by 100 Continue. */
    continued: boolean;
}

interface Content extends Pick<Signing, 'date' | 'algorithm'> {
    headers?: Record<string, string>;
    body?: Buffer;
    key?: TestKey;
    /** By default that of the key. */
    keyId?: string;
}

describe('the stand-in for Manta', () => {
    let manta: MantaServer;
    let keys: Record<'rsa' | 'ecdsa' | 'ed25519' | 'unknown', TestKey>;

    before(async () => {
        const folder = mkdtempSync(join(tmpdir(), 'imgapi-manta-keys-'));
        keys = {
            rsa: makeKey(folder, 'rsa'),
            ecdsa: makeKey(folder, 'ecdsa', 'ecdsa'),
            ed25519: makeKey(folder, 'ed25519', 'ed25519'),
            unknown: makeKey(folder, 'unknown'),
        };
        rmSync(folder, { recursive: true });
        const { rsa, ecdsa, ed25519, unknown } = keys;
        manta = await MantaServer.start({
            accounts: {
                alice: [rsa.publicLine, ecdsa.publicLine, ed25519.publicLine],
                bob: [unknown.publicLine],
            },
        });
    });
    after(() => manta.stop());

    async function ask(method: string, path: string, content: Content = {}): Promise<MantaAnswer> {
        const { key = keys.rsa, headers = {}, body, date, algorithm } = content;
        const keyId = content.keyId ?? `/alice/keys/${md5Fingerprint(key.publicLine)}`;
        const request = http.request(manta.url + path, {
            method,
            headers: {
                'content-length': String(body?.length ?? 0),
                ...signedHeaders(keyId, key, { ...(date && { date }), ...(algorithm && { algorithm }) }),
                ...headers,
            },
        });
        let continued = false;
        if (headers.expect === undefined) {
            request.end(body);
        } else {
            request.once('continue', () => {
                continued = true;
                request.end(body);
            });
            request.flushHeaders();
        }
        const [answer] = (await once(request, 'response')) as [http.IncomingMessage];
        const chunks: Buffer[] = [];
        for await (const chunk of answer) {
            chunks.push(chunk as Buffer);
        }
        request.destroy();
        const text = Buffer.concat(chunks);
        const isError = (answer.statusCode ?? 0) >= 400 && text.length > 0;
        const code = isError ? (JSON.parse(text.toString()) as { code: string }).code : undefined;
        return { status: answer.statusCode ?? 0, headers: answer.headers, body: text, code, continued };
    }

    const refused = async (status: number, code: string | undefined, asked: Promise<MantaAnswer>) => {
        const answer = await asked;
        assert.deepEqual([answer.status, answer.code], [status, code]);
        return answer;
    };
    const mkdir = async (path: string) => {
        assert.equal((await ask('PUT', path, { headers: DIRECTORY })).status, 204);
    };

    describe('signatures (§2)', () => {
        it('takes those of RSA, ECDSA and Ed25519 keys', async () => {
            assert.equal((await ask('HEAD', '/alice/stor')).status, 200);
            assert.equal((await ask('HEAD', '/alice/stor', { key: keys.ecdsa })).status, 200);
            const ed25519 = { key: keys.ed25519, algorithm: 'ed25519-sha512' };
            assert.equal((await ask('HEAD', '/alice/stor', ed25519)).status, 200);
        });

        it('refuses all others', async () => {
            const of = (content: Content) => ask('GET', '/alice/stor', content);
            await refused(403, 'KeyDoesNotExist', of({ key: keys.unknown }));
            const borrowed = {
                key: keys.unknown,
                keyId: `/alice/keys/${md5Fingerprint(keys.rsa.publicLine)}`,
            };
            await refused(403, 'InvalidSignature', of(borrowed));
            const nobody = `/nobody/keys/${md5Fingerprint(keys.rsa.publicLine)}`;
            await refused(403, 'AccountDoesNotExist', of({ keyId: nobody }));
            await refused(403, 'InvalidKeyId', of({ keyId: 'alice' }));
            await refused(400, 'InvalidHeader', of({ date: new Date(Date.now() - 301_000) }));
            await refused(400, 'InvalidHeader', of({ headers: { authorization: 'Signature x' } }));
            await refused(401, 'InvalidAlgorithm', of({ headers: { authorization: hmac() } }));
            await refused(403, 'AuthorizationFailed', ask('GET', '/bob/stor'));
            const bare = await fetch(`${manta.url}/alice/stor`);
            assert.equal(((await bare.json()) as { code: string }).code, 'AuthorizationRequired');
            await refused(403, undefined, ask('HEAD', '/alice/stor', { keyId: nobody }));
        });

        function hmac(): string {
            return signedHeaders('/alice/keys/x', keys.rsa).authorization.replace(
                'rsa-sha256',
                'hmac-sha256',
            );
        }
    });

    it('keeps directories (§4)', async () => {
        await refused(404, 'DirectoryDoesNotExist', ask('PUT', '/alice/stor/d/e', { headers: DIRECTORY }));
        await mkdir('/alice/stor/d');
        await mkdir('/alice/stor/d');
        await mkdir('/alice/stor/d/e');
        await refused(400, 'DirectoryNotEmpty', ask('DELETE', '/alice/stor/d'));
        const head = await ask('HEAD', '/alice/stor/d');
        assert.equal(head.headers['content-type'], 'application/x-json-stream; type=directory');
        assert.equal(head.headers['result-set-size'], '1');
        const root = ask('DELETE', '/alice/stor');
        await refused(400, 'OperationNotAllowedOnRootDirectory', root);
        const put = ask('PUT', '/alice/stor/d', { body: Buffer.from('x') });
        await refused(400, 'OperationNotAllowedOnDirectory', put);
        assert.equal((await ask('DELETE', '/alice/stor/d/e')).status, 204);
        assert.equal((await ask('DELETE', '/alice/stor/d')).status, 204);
        await refused(404, 'ResourceNotFound', ask('DELETE', '/alice/stor/d'));
        await refused(404, 'ResourceNotFound', ask('GET', '/alice/stor/d'));
        await refused(404, undefined, ask('HEAD', '/alice/stor/d'));
        const link = { 'content-type': 'application/json; type=link', location: '/alice/stor/x' };
        await refused(403, 'SnaplinksDisabledError', ask('PUT', '/alice/stor/l', { headers: link }));
        assert.deepEqual(manta.directories, []);
    });

    it('lists by name, a page at a time, each page from its marker on', async () => {
        await mkdir('/alice/stor/list');
        await mkdir('/alice/stor/list/B');
        for (const name of ['a', 'b', 'c']) {
            await ask('PUT', `/alice/stor/list/${name}`, { body: Buffer.from(name) });
        }
        const page = async (query: string): Promise<Record<string, unknown>[]> => {
            const { headers, body } = await ask('GET', `/alice/stor/list?${query}`);
            assert.equal(headers['result-set-size'], '4');
            const lines = body.toString().trimEnd().split('\n');
            return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
        };
        const names = async (query: string) => (await page(query)).map(({ name }) => name);
        assert.deepEqual(await names(''), ['B', 'a', 'b', 'c']);
        assert.deepEqual(await names('limit=2'), ['B', 'a']);
        assert.deepEqual(await names('limit=2&marker=a'), ['a', 'b']);
        const [directory, object] = await page('limit=2');
        assert.equal(directory?.type, 'directory');
        const { etag } = (await ask('HEAD', '/alice/stor/list/a')).headers;
        assert.deepEqual(
            [object?.type, object?.size, object?.etag, object?.contentMD5],
            ['object', 1, etag, md5('a')],
        );
        for (const limit of ['0', '1025', 'x']) {
            await refused(400, 'InvalidArgumentError', ask('GET', `/alice/stor/list?limit=${limit}`));
        }
    });

    describe('objects', () => {
        const bytes = randomBytes(300_000);
        const path = '/alice/stor/objects/x%20y%2Fz';
        before(async () => {
            await mkdir('/alice/stor/objects');
            await mkdir('/alice/stor/objects/x%20y');
        });

        it('keeps them with their digests, of known length and chunked', async () => {
            const known = await ask('PUT', path, { body: bytes, headers: { 'content-type': 'text/x' } });
            assert.equal(known.status, 204);
            assert.equal(known.headers['computed-md5'], md5(bytes));
            const got = await ask('GET', '/alice/stor/objects/x%20y/z');
            assert.ok(got.body.equals(bytes));
            const head = await ask('HEAD', path);
            const expected = {
                etag: known.headers.etag,
                'last-modified': known.headers['last-modified'],
                'content-md5': md5(bytes),
                'content-type': 'text/x',
                'content-length': '300000',
                'durability-level': '2',
            };
            for (const shown of [got.headers, head.headers]) {
                assert.deepEqual({ ...shown, ...expected }, { ...shown });
            }
            const keyId = `/alice/keys/${md5Fingerprint(keys.rsa.publicLine)}`;
            const headers = { ...signedHeaders(keyId, keys.rsa), 'transfer-encoding': 'chunked' };
            const request = http.request(manta.url + path, { method: 'PUT', headers });
            request.write('in ');
            request.end('chunks');
            const [answer] = (await once(request, 'response')) as [http.IncomingMessage];
            answer.resume();
            assert.equal(answer.headers['computed-md5'], md5('in chunks'));
            assert.notEqual(answer.headers.etag, known.headers.etag);
        });

        it('refuses before it asks for the body', async () => {
            const expecting = (headers: Record<string, string>) => ({
                body: bytes,
                headers: { expect: '100-continue', ...headers },
            });
            const taken = await ask('PUT', path, expecting({}));
            assert.ok(taken.continued);
            const refusals: [string, Record<string, string>, number, string][] = [
                ['/alice/stor/none/x', {}, 404, 'DirectoryDoesNotExist'],
                [`${path}/x`, {}, 400, 'ParentNotDirectory'],
                [path, { 'if-match': 'other' }, 412, 'PreconditionFailed'],
                [path, { 'if-none-match': '*' }, 412, 'PreconditionFailed'],
                [path, { 'durability-level': '10' }, 400, 'InvalidDurabilityLevel'],
                [path, { authorization: 'Basic x' }, 403, 'AuthorizationSchemeNotAllowed'],
            ];
            for (const [target, headers, status, code] of refusals) {
                const answer = await refused(status, code, ask('PUT', target, expecting(headers)));
                assert.equal(answer.continued, false);
            }
            manta.limits.space = 1000;
            const full = await refused(507, 'NotEnoughSpace', ask('PUT', path, expecting({})));
            assert.equal(full.continued, false);
            manta.limits.space = Number.MAX_SAFE_INTEGER;
            assert.equal((await ask('GET', path)).headers.etag, taken.headers.etag);
        });

        it('leaves the former object when the body is wrong or breaks off', async () => {
            await ask('PUT', path, { body: bytes });
            const wrong = { body: bytes, headers: { 'content-md5': md5('other') } };
            await refused(400, 'ContentMD5Mismatch', ask('PUT', path, wrong));
            const broken = ask('PUT', path, {
                body: bytes,
                headers: { 'content-length': String(bytes.length + 1) },
            });
            const cut = (async () => {
                while (manta.arriving === 0) {
                    await new Promise((resolve) => setImmediate(resolve));
                }
                await manta.suspend();
                await manta.resume();
            })();
            await assert.rejects(broken);
            await cut;
            assert.equal(manta.arriving, 0);
            assert.ok((await ask('GET', path)).body.equals(bytes));
        });

        it('gives ranges, of the object that is meant', async () => {
            await ask('PUT', path, { body: bytes });
            const { etag = '' } = (await ask('HEAD', path)).headers;
            const part = await ask('GET', path, { headers: { range: 'bytes=5-9', 'if-match': etag } });
            assert.equal(part.status, 206);
            assert.equal(part.headers['content-range'], 'bytes 5-9/300000');
            assert.ok(part.body.equals(bytes.subarray(5, 10)));
            const tail = await ask('GET', path, { headers: { range: 'bytes=299999-400000' } });
            assert.equal(tail.body.length, 1);
            const beyond = ask('GET', path, { headers: { range: 'bytes=300000-' } });
            const { headers } = await refused(416, 'RangeNotSatisfiable', beyond);
            assert.equal(headers['content-range'], 'bytes */300000');
            const other = ask('GET', path, { headers: { range: 'bytes=5-9', 'if-match': 'other' } });
            await refused(412, 'PreconditionFailed', other);
            assert.equal((await ask('GET', path, { headers: { 'if-none-match': etag } })).status, 304);
        });

        it('keeps empty ones', async () => {
            const put = await ask('PUT', path, { headers: { expect: '100-continue' } });
            assert.deepEqual([put.status, put.continued], [204, false]);
            assert.equal((await ask('GET', path)).headers['content-length'], '0');
        });
    });
});
