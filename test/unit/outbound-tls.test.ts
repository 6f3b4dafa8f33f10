import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { bytes, json, LyingServer, noHttp } from '../support/lying-server';
import { CertificateAuthority, type Certificate } from '../support/certificates';
import { call, closeRemotes, drain, failure, SERVER_NAME, testRemotes } from '../support/remotes';
import { makeFolder } from '../support/server';

const UUID = '0c5e3a9e-3f1a-4f0f-9a53-5d1c0b1c5a10';
const MANIFEST = { uuid: UUID, name: 'image' };
const HOST = 'images.example.com';
const hosts = { [HOST]: ['127.0.0.1'], 'other.example.com': ['127.0.0.1'] };
const outbound = { allow: ['127.0.0.1'], connectTimeout: '300ms', answerTimeout: '300ms' };

describe('https for imports', () => {
    let folder: Awaited<ReturnType<typeof makeFolder>>;
    let authority: CertificateAuthority;
    let issued: Certificate;
    let server: LyingServer;

    before(async () => {
        folder = await makeFolder();
        authority = new CertificateAuthority(folder.path);
        issued = authority.issue('server', `DNS:${HOST}`, 'IP:127.0.0.1');
    });
    after(() => folder.remove());
    beforeEach(async () => {
        server = await LyingServer.start(json(MANIFEST), { tls: issued });
    });
    afterEach(async () => {
        await closeRemotes();
        await server.stop();
    });

    const remotesWith = (settings: Record<string, unknown> = {}) =>
        testRemotes({ outbound, ...settings }, { hosts, ca: authority.cert });

    it('takes the certificate of a known authority, for names and for addresses', async () => {
        const remotes = remotesWith();
        for (const host of [HOST, `${HOST}.`, '127.0.0.1']) {
            assert.deepEqual(
                await remotes.repository(server.url(host)).getImage(UUID, call()),
                MANIFEST,
                host,
            );
            assert.deepEqual(
                JSON.parse((await drain((await remotes.download(server.url(host), call())).body)).toString()),
                MANIFEST,
            );
        }
    });

    it('knows no authority but those of Node.js unless told', async () => {
        const remotes = testRemotes({ outbound }, { hosts });
        const { message } = await failure(() => remotes.repository(server.url(HOST)).getImage(UUID, call()));
        assert.match(message, /has a certificate of an authority that is not known here/);
        assert.deepEqual(server.requests, []);
    });

    it('refuses a certificate for another name', async () => {
        const remotes = remotesWith();
        for (const run of [
            () => remotes.repository(server.url('other.example.com')).getImage(UUID, call()),
            () => remotes.download(server.url('other.example.com'), call()),
        ]) {
            const { message } = await failure(run);
            assert.match(message, /has a certificate for another name/);
        }
        assert.deepEqual(server.requests, []);
    });

    it('refuses a self-signed certificate', async () => {
        const own = await LyingServer.start(json(MANIFEST), {
            tls: authority.selfSigned('own', `DNS:${HOST}`),
        });
        try {
            const { message } = await failure(() =>
                remotesWith().repository(own.url(HOST)).getImage(UUID, call()),
            );
            assert.match(message, /self-signed/);
        } finally {
            await own.stop();
        }
    });

    it('takes any certificate of a repository with allowInsecure, and of nothing else', async () => {
        const remotes = testRemotes({ outbound, allowInsecure: true }, { hosts });
        for (const host of [HOST, 'other.example.com']) {
            assert.deepEqual(await remotes.repository(server.url(host)).getImage(UUID, call()), MANIFEST);
            // The connection that stands by now must not serve a download.
            await failure(() => remotes.download(server.url(host), call()));
        }
        const careful = testRemotes({ outbound, allowInsecure: false }, { hosts });
        await failure(() => careful.repository(server.url(HOST)).getImage(UUID, call()));
    });

    it('says when a server speaks no TLS, or does not finish the handshake', async () => {
        const plain = await LyingServer.start(json(MANIFEST));
        const sockets: Socket[] = [];
        const mute = createServer((socket) => sockets.push(socket.on('error', () => undefined)));
        mute.listen(0, '127.0.0.1');
        await once(mute, 'listening');
        const { port } = mute.address() as AddressInfo;
        try {
            const spoken = await failure(() =>
                remotesWith().download(plain.url(HOST).replace('http:', 'https:'), call()),
            );
            assert.match(spoken.message, /does not speak TLS/);
            const waited = await failure(() => remotesWith().download(`https://${HOST}:${port}`, call()));
            assert.match(waited.message, /did not accept the connection within 300ms/);
        } finally {
            await plain.stop();
            sockets.forEach((socket) => socket.destroy());
            mute.close();
            await once(mute, 'close');
        }
    });

    describe('downloads', () => {
        it('ask as the server they are, with the path and query of the URL', async () => {
            const { body } = await remotesWith().download(`${server.url(HOST)}/a/b%20c?d=e&f#g`, call());
            await drain(body);
            assert.deepEqual(server.requests, ['GET /a/b%20c?d=e&f']);
            assert.equal(server.headers['user-agent'], SERVER_NAME);
            assert.equal(server.headers['request-id'], undefined);
        });

        it('give the bytes with their size', async () => {
            const file = Buffer.alloc(2 * 1024 * 1024, 'imgapi');
            server.behave = bytes(file);
            const { size, body } = await remotesWith().download(server.url(HOST), call());
            assert.equal(size, file.length);
            assert.deepEqual(await drain(body), file);
        });

        for (const status of [201, 204, 301, 302, 404, 500]) {
            it(`fail with status ${status}`, async () => {
                server.behave = (_request, response) => {
                    response.writeHead(status, { location: 'https://127.0.0.2/' }).end();
                };
                const err = await failure(() => remotesWith().download(server.url(HOST), call()));
                assert.equal(err.status, status);
            });
        }

        it('fail when the server speaks another protocol within TLS', async () => {
            server.behave = noHttp;
            const { message } = await failure(() => remotesWith().download(server.url(HOST), call()));
            assert.match(message, /sent what is no HTTP/);
        });
    });
});
