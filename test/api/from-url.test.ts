/** AddImageFileFromUrl (endpoints.md §3), and sources that do not keep to what they say. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { assertError, at, FILE, MANIFEST, OTHER, OWNER, sha1, UNKNOWN, type Answer } from '../support/api';
import { CertificateAuthority, type Certificate } from '../support/certificates';
import {
    bytes,
    compressed,
    cutChunk,
    endless,
    hangUp,
    json,
    LyingServer,
    noHttp,
    redirect,
    short,
    stalled,
    type Behaviour,
} from '../support/lying-server';
import { Registry } from '../support/registry';
import { makeFolder } from '../support/server';
import { credentials } from '../support/signed';

const IMPATIENT = {
    allow: ['127.0.0.1'],
    connectTimeout: '1s',
    answerTimeout: '500ms',
    idleTimeout: '500ms',
};

describe('AddImageFileFromUrl', () => {
    let folder: Awaited<ReturnType<typeof makeFolder>>;
    let registry: Registry;
    let server: LyingServer;
    let strange: Certificate;
    let uuid: string;
    before(async () => {
        folder = await makeFolder();
        const authority = new CertificateAuthority(folder.path);
        strange = authority.selfSigned('strange', 'IP:127.0.0.1');
        server = await LyingServer.start(bytes(FILE), { tls: authority.issue('files', 'IP:127.0.0.1') });
        registry = await Registry.start(
            { outbound: IMPATIENT, allowInsecure: true },
            { environment: { NODE_EXTRA_CA_CERTS: authority.certFile } },
        );
    });
    after(async () => {
        await registry.stop();
        await server.stop();
        await folder.remove();
    });
    beforeEach(async () => {
        ({ uuid } = await registry.client.create());
        server.behave = bytes(FILE);
    });

    const ask = (query = 'compression=gzip', body: unknown = { file_url: `${server.url()}/f` }) =>
        registry.client.post(at(uuid, `/file/from-url?${query}`), body);

    it('stores what the URL gives', async () => {
        const content = randomBytes(2 << 20);
        server.behave = bytes(content);
        const answer = await ask(`compression=xz&sha1=${sha1(content)}`);
        assert.deepEqual(answer.manifest.files, [
            { sha1: sha1(content), size: content.length, compression: 'xz' },
        ]);
        assert.equal(answer.headers.etag, (await registry.client.get(at(uuid))).headers.etag);
        assert.deepEqual((await registry.client.get(at(uuid, '/file'))).body, content);
        assert.equal(server.requests.at(-1), 'GET /f');
        assert.match(String(server.headers['user-agent']), /^IMGAPI\//);
    });

    it('takes a file of unknown length, in the place of the one before', async () => {
        await registry.client.upload(uuid);
        server.behave = (_req, res) => {
            res.write('one');
            res.end('two');
        };
        assert.equal((await ask()).manifest.files[0]?.size, 6);
        assert.equal((await registry.stored(uuid)).length, 1);
    });

    it('refuses, in the contract’s order', async () => {
        const { uuid: active } = await registry.client.createActive();
        const immutable = await registry.client.post(at(active, '/file/from-url'), {});
        assertError(immutable, 422, 'ImageFilesImmutable');
        const unknown = await registry.client.post(at(UNKNOWN, '/file/from-url'), {});
        assertError(unknown, 404, 'ResourceNotFound');
        const invalid = 'InvalidParameter';
        const notTheirs = await registry.client.post(at(active, `/file/from-url?account=${OTHER}`), {});
        assertError(notTheirs, 422, 'NotImageOwner');
        assertError(await ask('storage=x', {}), 422, invalid, 'compression:Missing');
        assertError(await ask('compression=zip&storage=x', {}), 422, invalid, 'compression:Invalid');
        for (const body of [{}, [], { url: 'x' }]) {
            assertError(await ask('compression=xz&storage=x', body), 422, invalid, 'file_url:Missing');
        }
        for (const url of ['http://127.0.0.1/', 'ftp://x/', '', 5, null, 'https:', { a: 1 }, 'HTTPS://x']) {
            const answer = await ask('compression=xz&storage=x', { file_url: url });
            assertError(answer, 422, invalid, 'file_url:Invalid');
        }
        assertError(await ask('compression=xz&storage=x'), 422, invalid, 'storage:Invalid');
        const owned = await ask(`compression=xz&account=${OWNER}&storage=local`);
        assertError(owned, 422, invalid, 'storage:NotAllowed');
        assert.deepEqual((await registry.client.get(at(uuid))).manifest.files, []);
    });

    it('wants a certificate that it can verify, whatever is allowed for repositories', async () => {
        const other = await LyingServer.start(bytes(FILE), { tls: strange });
        try {
            const answer = await ask('compression=xz', { file_url: `${other.url()}/` });
            assertError(answer, 400, 'Download');
        } finally {
            await other.stop();
        }
    });

    it('refuses an image that is activated while the file is on its way', async () => {
        await registry.client.upload(uuid);
        server.behave = (_req, res) => {
            res.write('one');
            void registry.client.action(uuid, 'activate').then(() => res.end('two'));
        };
        assertError(await ask(), 422, 'ImageAlreadyActivated');
        assert.deepEqual((await registry.client.get(at(uuid, '/file'))).body, FILE);
        assert.equal((await registry.stored(uuid)).length, 1);
    });

    const lies: Record<string, Behaviour> = {
        'an empty file': bytes(''),
        'another SHA-1': bytes('other'),
        'a status that is no 200': json({ code: 'x' }, 404),
        'a partial file': (_req, res) => res.writeHead(206).end('x'),
        'a redirect': redirect('https://127.0.0.1:1/'),
        'a redirect inwards': redirect('http://169.254.169.254/'),
        'less than announced': short,
        'less than announced, and no more': stalled,
        'a cut chunk': cutChunk,
        'another protocol': noHttp,
        nothing: hangUp,
        silence: () => undefined,
        'a compressed file': compressed,
        'an error of the server': json({}, 500),
        'too much, announced': (_req, res) => {
            res.writeHead(200, { 'content-length': 20 * 1024 ** 3 + 1 }).write('x');
        },
    };
    for (const [name, behave] of Object.entries(lies)) {
        it(`tells of ${name}, and leaves nothing behind`, async () => {
            const before = await registry.snapshot(uuid);
            server.behave = behave;
            const answer = await ask(`compression=none&sha1=${sha1(FILE)}`);
            assertError(answer, 400, 'Download');
            assert.ok(!answer.text.includes('/f'), 'the message does not repeat the path of the URL');
            assert.deepEqual(await registry.snapshot(uuid), before);
        });
    }

    it('lets go of the server when the client has gone', async () => {
        server.behave = endless('x'.repeat(1000), { pause: 20 });
        const arrived = new Promise<void>((resolve) => {
            const { behave } = server;
            server.behave = (req, res) => {
                behave(req, res);
                resolve();
            };
        });
        const gone = new AbortController();
        const request = fetch(`${registry.url}${at(uuid, '/file/from-url?compression=none')}`, {
            method: 'POST',
            headers: { 'content-type': 'application/json', ...credentials() },
            body: JSON.stringify({ file_url: `${server.url()}/endless` }),
            signal: gone.signal,
        });
        await arrived;
        gone.abort();
        await assert.rejects(request);
        await server.idle();
        // Only then everything is cleaned up: before, the file may not even have been begun.
        await registry.server.logged(
            ({ route, req }) =>
                route === 'AddImageFileFromUrl' && (req as { url: string }).url.includes(`/${uuid}/`),
        );
        assert.deepEqual(await registry.stored(uuid), []);
    });
});

describe('A source that lies', () => {
    let registry: Registry;
    let server: LyingServer;
    before(async () => {
        registry = await Registry.start({ outbound: IMPATIENT });
        server = await LyingServer.start(json({}));
    });
    after(async () => {
        await registry.stop();
        await server.stop();
    });

    const source = () => `source=${encodeURIComponent(server.url())}`;
    const lies: Record<string, Behaviour> = {
        'invalid JSON': bytes('{"uuid":'),
        'a list': json([]),
        'another image': json({ ...MANIFEST, v: 2, uuid: OTHER }),
        'an error': json({ code: 'InternalError', message: 'boom' }, 500),
        'an error that is a page': (_req, res) => res.writeHead(502).end('<html>'),
        'a redirect': redirect('http://127.0.0.1:1/'),
        'less than announced': short,
        silence: () => undefined,
        'an endless manifest': endless(' '.repeat(65_536)),
    };
    for (const [name, behave] of Object.entries(lies)) {
        it(`by ${name} is told of, by every request that reads its manifest`, async () => {
            server.behave = behave;
            const { uuid } = await registry.client.create();
            const answers: Answer[] = [
                await registry.client.post(at(UNKNOWN, `?action=import&${source()}`), {}),
                await registry.client.post(at(UNKNOWN, `?action=import-remote&${source()}`), {}),
                await registry.client.put(at(uuid, `/file?${source()}`), '{}'),
            ];
            for (const answer of answers) {
                assertError(answer, 503, 'RemoteSourceError');
            }
            assert.equal((await registry.client.get(at(UNKNOWN))).status, 404);
            assert.deepEqual(await registry.stored(uuid), []);
        });
    }

    it('about its files is told of', async () => {
        const { uuid } = await registry.client.create();
        const file = { sha1: sha1(FILE), size: FILE.length, compression: 'none' };
        const bad: unknown[] = [
            undefined,
            [],
            'x',
            [null],
            [{}],
            [{ ...file, sha1: 'x' }],
            [{ ...file, size: -1 }],
            [{ ...file, size: '5' }],
            [{ ...file, compression: 'zip' }],
            [{ ...file, dataset_guid: {} }],
            [file, file, file],
        ];
        for (const files of bad) {
            server.behave = json({ ...MANIFEST, v: 2, uuid, files });
            const answer = await registry.client.put(at(uuid, `/file?${source()}`), '{}');
            assertError(answer, 503, 'RemoteSourceError');
        }
        const manifest = { ...MANIFEST, v: 2, uuid, files: [file] };
        const transfers: [Behaviour, number, string][] = [
            [bytes(FILE.subarray(1)), 400, 'Download'],
            [bytes(Buffer.concat([FILE, FILE])), 400, 'Download'],
            [bytes(Buffer.alloc(FILE.length)), 400, 'Download'],
            [bytes(''), 400, 'Download'],
            [endless('x'.repeat(10_000)), 400, 'Download'],
            [short, 503, 'RemoteSourceError'],
            [stalled, 503, 'RemoteSourceError'],
            [json({ code: 'ResourceNotFound', message: 'gone' }, 404), 503, 'RemoteSourceError'],
            [redirect('http://127.0.0.1:1/'), 503, 'RemoteSourceError'],
        ];
        for (const [behave, status, code] of transfers) {
            server.behave = (req, res) =>
                (req.url?.endsWith('/file') === true ? behave : json(manifest))(req, res);
            const answer = await registry.client.put(at(uuid, `/file?${source()}`), '{}');
            assertError(answer, status, code);
            assert.deepEqual(await registry.stored(uuid), []);
        }
        const large = { ...file, size: 20 * 1024 ** 3 + 1 };
        server.behave = json({ ...manifest, files: [large] });
        const before = server.requests.length;
        assertError(await registry.client.put(at(uuid, `/file?${source()}`), '{}'), 400, 'Download');
        assert.equal(server.requests.length, before + 1, 'its file is not even asked for');
    });

    it('with fields nobody knows is read without them', async () => {
        const uuid = '5bd3ed6b-2f3a-4a60-9c45-8f5d1f6e0b22';
        server.behave = json({ ...MANIFEST, v: 2, uuid, from_the_future: { x: 1 } });
        const answer = await registry.client.post(at(uuid, `?action=import&${source()}`), {});
        assert.equal(answer.manifest.from_the_future, undefined);
        await registry.server.logged(
            ({ fields }) => Array.isArray(fields) && fields.includes('from_the_future'),
        );
    });

    it('with an endless chain of origins is given up', async () => {
        const numbered = (n: number) => `${n.toString(16).padStart(8, '0')}-0000-4000-8000-000000000000`;
        server.behave = (req, res) => {
            const uuid = /images\/([^/?]+)/.exec(String(req.url))?.[1] ?? '';
            const next = numbered(Number.parseInt(uuid.slice(0, 8), 16) + 1);
            json({ ...MANIFEST, v: 2, uuid, state: 'active', origin: next })(req, res);
        };
        const answer = await registry.client.post(at(numbered(1), `?action=import-remote&${source()}`), {});
        assertError(answer, 503, 'RemoteSourceError');
    });
});
