/** What a signature has to cover (`auth.requireSigned`), and bodies whose digest is signed. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { assertError, at, FILE, ICON, MANIFEST, type Answer, type RequestContent } from '../support/api';
import { signedHeaders } from '../support/keys';
import { Registry, testKeys } from '../support/registry';

const JSON_TYPE = { 'content-type': 'application/json' };

/** A Digest header. */
function digest(bytes: Buffer | string, name = 'SHA-256'): string {
    const hash = createHash(name.replace('-', '').toLowerCase()).update(bytes).digest('base64');
    return `${name}=${hash}`;
}

interface Sending extends RequestContent {
    headers?: Record<string, string>;
    /** What is signed; by default the date and the digest. */
    signed?: string[];
}

/** Sends a request signed by alice. */
function sendSigned(
    registry: Registry,
    method: string,
    path: string,
    { headers, body, signed = ['date', 'digest'] }: Sending,
): Promise<Answer> {
    const signing = { method, path, signed, ...(headers && { headers }) };
    return registry.anonymous.request(method, path, {
        headers: signedHeaders('alice', testKeys()[0], signing),
        body,
    });
}

function assertRefused(answer: Answer, message: RegExp): void {
    assertError(answer, 401, 'UnauthorizedError');
    assert.match(answer.error.message, message);
}

describe('Authentication: auth.requireSigned', () => {
    let registry: Registry;
    before(async () => {
        registry = await Registry.start({ auth: { requireSigned: ['(request-target)', 'Digest', 'HOST'] } });
    });
    after(() => registry.stop());

    const BODY = JSON.stringify(MANIFEST);
    const HOST = { host: 'images.example.com' };
    const send = (method: string, path: string, sending: Sending) =>
        sendSigned(registry, method, path, { ...sending, headers: { ...HOST, ...sending.headers } });

    it('takes either way to sign the request line, and names in any case', async () => {
        for (const target of ['(request-target)', 'request-line']) {
            const answer = await send('GET', '/state', { signed: ['date', target, 'host'] });
            assert.equal(answer.status, 200, answer.text);
        }
    });

    it('refuses what does not cover it, and says what is missing', async () => {
        assertRefused(await send('GET', '/state', { signed: ['date'] }), /"\(request-target\)", "host":/);
        assertRefused(await send('GET', '/state', { signed: ['date', '(request-target)'] }), /cover "host":/);
        assertRefused(await send('GET', '/state', { signed: ['request-line', 'host'] }), /cover "date":/);
        assertRefused(await send('GET', '/ping', { signed: ['date', 'host'] }), /"\(request-target\)"/);
        assert.equal(
            (await registry.anonymous.get('/ping')).status,
            200,
            'nothing is asked of the anonymous',
        );
    });

    it('asks for a digest where there is a body', async () => {
        const signed = ['date', '(request-target)', 'host'];
        const create = (sending: Sending) =>
            send('POST', '/images', {
                body: BODY,
                ...sending,
                headers: { ...JSON_TYPE, ...sending.headers },
            });
        async function* chunked() {
            yield await Promise.resolve(Buffer.from(BODY));
        }
        assertRefused(await create({ signed }), /cover "digest":/);
        assertRefused(await create({ signed, headers: { digest: digest(BODY) } }), /cover "digest":/);
        assertRefused(await create({ signed, body: chunked() }), /cover "digest":/);

        const complete = { signed: [...signed, 'digest'], headers: { digest: digest(BODY) } };
        const { uuid } = (await create(complete)).manifest;
        assert.equal((await create({ ...complete, body: chunked() })).status, 200);

        const deleted = await send('DELETE', at(uuid), { signed, headers: { 'content-length': '0' } });
        assert.equal(deleted.status, 204, deleted.text);
    });
});

describe('Authentication: a digest that is signed', () => {
    let registry: Registry;
    before(async () => {
        registry = await Registry.start();
    });
    after(() => registry.stop());

    const BODY = JSON.stringify(MANIFEST);
    const SWAPPED = JSON.stringify({ ...MANIFEST, name: 'swapped' });
    const create = (value: string, body: Buffer | string = BODY, headers: Record<string, string> = {}) =>
        sendSigned(registry, 'POST', '/images', {
            headers: { ...JSON_TYPE, ...headers, digest: value },
            body,
        });

    it('is that of the body, by SHA-256 or SHA-512', async () => {
        for (const value of [
            digest(BODY),
            digest(BODY, 'SHA-512'),
            digest(BODY, 'sha-512'),
            `MD5=abc=, ${digest(BODY)} ,unixsum=30637`,
            `${digest(SWAPPED)},${digest(BODY, 'SHA-512')}`,
        ]) {
            const answer = await create(value);
            assert.equal(answer.status, 200, `${value}: ${answer.text}`);
        }
    });

    it('is refused if it cannot be checked', async () => {
        const [sha256, sha512] = [digest(BODY), digest(BODY, 'SHA-512')];
        for (const value of [
            '',
            'SHA-256',
            'SHA-256=',
            'md5=1B2M2Y8AsgTpgAmY7PhCfg==',
            'toString=x',
            sha256.slice(0, -4),
            sha256.replace(/=$/, ''),
            sha256.replace('256', '512'),
            sha512.replace('512', '256'),
            `${sha256.slice(0, -4)},md5=1B2M2Y8AsgTpgAmY7PhCfg==`,
        ]) {
            assertRefused(await create(value), /Digest header is/);
        }
    });

    it('refuses a body that was swapped, cut to nothing or put there, and nothing is changed', async () => {
        assertRefused(await create(digest(BODY), SWAPPED), /not the one that was signed/);
        assertRefused(await create(digest(BODY, 'SHA-512'), SWAPPED), /SHA-512/);
        assertRefused(await create(digest(BODY), ''), /not the one that was signed/);
        assertRefused(await create(digest('')), /not the one that was signed/);
        assert.deepEqual((await registry.client.get('/images?name=swapped&state=all')).manifests, []);
    });

    it('is that of the bytes as they are sent, not of what is packed in them', async () => {
        const packed = gzipSync(BODY);
        const gzip = { 'content-encoding': 'gzip' };
        assert.equal((await create(digest(packed), packed, gzip)).status, 200);
        assertRefused(await create(digest(BODY), packed, gzip), /not the one that was signed/);
    });

    it('counts also for bodies of a type that is not read', async () => {
        const { uuid } = await registry.client.create();
        await registry.client.upload(uuid);
        const activate = (body: string) =>
            sendSigned(registry, 'POST', at(uuid, '?action=activate'), {
                headers: { 'content-type': 'text/plain', digest: digest('what was signed') },
                body,
            });
        assertRefused(await activate('something else'), /not the one that was signed/);
        assert.equal((await registry.client.get(at(uuid))).manifest.state, 'unactivated');
        assert.equal((await activate('what was signed')).manifest.state, 'active');
    });

    it('is not looked at if it is not signed', async () => {
        const headers = { ...JSON_TYPE, digest: digest(SWAPPED) };
        const answer = await sendSigned(registry, 'POST', '/images', {
            signed: ['date'],
            headers,
            body: BODY,
        });
        assert.equal(answer.status, 200, answer.text);
    });

    describe('of an upload', () => {
        const OTHER_FILE = Buffer.concat([FILE, FILE]);
        const upload = (uuid: string, signedBytes: Buffer, body: RequestContent['body']) =>
            sendSigned(registry, 'PUT', at(uuid, '/file?compression=none'), {
                headers: { digest: digest(signedBytes) },
                body,
            });
        async function* inPieces(bytes: Buffer) {
            for (const byte of bytes) {
                yield await Promise.resolve(Buffer.from([byte]));
            }
        }

        it('is checked before the file counts: other bytes leave nothing behind', async () => {
            const { uuid } = await registry.client.create();
            for (const body of [OTHER_FILE, inPieces(OTHER_FILE), FILE.subarray(1), Buffer.alloc(1 << 20)]) {
                assertRefused(await upload(uuid, FILE, body), /not the one that was signed/);
                await registry.untilStored(uuid, []);
                assert.equal((await registry.record(uuid))?.files, undefined);
            }
            for (const body of [FILE, inPieces(FILE)]) {
                assert.equal((await upload(uuid, FILE, body)).status, 200);
            }
            assert.deepEqual((await registry.client.get(at(uuid, '/file'))).body, FILE);
        });

        it('leaves the file that was there', async () => {
            const { uuid } = await registry.client.create();
            await registry.client.upload(uuid, FILE);
            const before = await registry.snapshot(uuid);
            assertRefused(await upload(uuid, FILE, OTHER_FILE), /not the one that was signed/);
            await registry.untilStored(uuid, before.stored);
            assert.deepEqual(await registry.snapshot(uuid), before);
        });

        it('holds for icons', async () => {
            const { uuid } = await registry.client.create();
            const icon = (body: Buffer) =>
                sendSigned(registry, 'PUT', at(uuid, '/icon'), {
                    headers: { 'content-type': 'image/png', digest: digest(ICON) },
                    body,
                });
            assertRefused(await icon(Buffer.concat([ICON, ICON])), /not the one that was signed/);
            await registry.untilStored(uuid, []);
            assert.equal((await icon(ICON)).status, 200);
        });
    });
});
