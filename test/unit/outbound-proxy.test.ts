import assert from 'node:assert/strict';
import { CertificateAuthority, type Certificate } from '../support/certificates';
import { ConnectProxy } from '../support/connect-proxy';
import { forbiddenUrls } from '../support/forbidden-urls';
import { bytes, json, LyingServer, short } from '../support/lying-server';
import { call, closeRemotes, drain, failure, refusal, testRemotes, type Hosts } from '../support/remotes';
import { makeFolder } from '../support/server';

const UUID = '0c5e3a9e-3f1a-4f0f-9a53-5d1c0b1c5a10';
const MANIFEST = { uuid: UUID, name: 'image' };
/** A name that is found behind the proxy only. */
const HOST = 'images.example.com';

describe('httpProxy', () => {
    let folder: Awaited<ReturnType<typeof makeFolder>>;
    let authority: CertificateAuthority;
    let issued: Certificate;
    let plain: LyingServer;
    let secure: LyingServer;
    let proxy: ConnectProxy;

    before(async () => {
        folder = await makeFolder();
        authority = new CertificateAuthority(folder.path);
        issued = authority.issue('server', `DNS:${HOST}`, 'IP:127.0.0.1', 'IP:192.88.98.1');
    });
    after(() => folder.remove());
    beforeEach(async () => {
        plain = await LyingServer.start(json(MANIFEST));
        secure = await LyingServer.start(json(MANIFEST), { tls: issued });
        // Wherever a client wants to go, it comes to one of the two.
        proxy = await ConnectProxy.start((authority) => ({
            host: '127.0.0.1',
            port: authority.endsWith(':443') ? secure.port : plain.port,
        }));
    });
    afterEach(async () => {
        await closeRemotes();
        await Promise.all([plain.stop(), secure.stop(), proxy.stop()]);
    });

    function remotesWith(settings: Record<string, unknown> = {}, hosts: Hosts = {}) {
        const outbound = { connectTimeout: '300ms', answerTimeout: '300ms', idleTimeout: '300ms' };
        return testRemotes({ outbound, httpProxy: proxy.url(), ...settings }, { hosts, ca: authority.cert });
    }

    it('is used for http by the full URL, though it stands at a forbidden address itself', async () => {
        const repository = remotesWith().repository(`http://${HOST}/base?channel=*`);
        assert.deepEqual(await repository.getImage(UUID, call()), MANIFEST);
        assert.deepEqual(proxy.requests, [`GET http://${HOST}/base/images/${UUID}?channel=*`]);
        assert.deepEqual(plain.requests, [`GET /base/images/${UUID}?channel=*`]);
        assert.equal(plain.headers.host, HOST);
    });

    it('is used for https by a tunnel', async () => {
        const file = Buffer.alloc(1024 * 1024, 'imgapi');
        const repository = remotesWith().repository(`https://${HOST}/base`);
        assert.deepEqual(await repository.getImage(UUID, call()), MANIFEST);
        secure.behave = bytes(file);
        assert.deepEqual(await drain((await repository.getFile(UUID, 1, call())).body), file);
        assert.deepEqual(new Set(proxy.requests), new Set([`CONNECT ${HOST}:443`]));
        assert.deepEqual(secure.requests, [
            `GET /base/images/${UUID}`,
            `GET /base/images/${UUID}/file?index=1`,
        ]);
        assert.equal(secure.headers['proxy-authorization'], undefined);
    });

    it('may be spoken to by https, its certificate verified', async () => {
        const tls = await ConnectProxy.start(
            (asked) => ({ host: '127.0.0.1', port: asked.endsWith(':443') ? secure.port : plain.port }),
            issued,
        );
        try {
            const settings = { httpProxy: tls.url() };
            for (const scheme of ['http', 'https']) {
                const url = `${scheme}://${HOST}`;
                assert.deepEqual(
                    await remotesWith(settings).repository(url).getImage(UUID, call()),
                    MANIFEST,
                );
                const stranger = testRemotes({ ...settings, allowInsecure: true }, { hosts: {} });
                const { message } = await failure(() => stranger.repository(url).getImage(UUID, call()));
                assert.match(message, /proxy could not be reached/);
            }
            assert.equal(tls.requests.length, 2);
        } finally {
            await tls.stop();
        }
    });

    it('is given its credentials, which go no further and stand in no message', async () => {
        proxy.authorization = `Basic ${Buffer.from('joe:p@ß%').toString('base64')}`;
        const remotes = remotesWith({ httpProxy: proxy.url('joe:p%40%C3%9F%') });
        for (const url of [`http://${HOST}`, `https://${HOST}`]) {
            assert.deepEqual(await remotes.repository(url).getImage(UUID, call()), MANIFEST);
        }
        assert.equal(plain.headers['proxy-authorization'], undefined);
        assert.equal(secure.headers['proxy-authorization'], undefined);
        const wrong = remotesWith({ httpProxy: proxy.url('joe:wr0ng') });
        for (const url of [`http://${HOST}`, `https://${HOST}`]) {
            const { message } = await failure(() => wrong.repository(url).getImage(UUID, call()));
            assert.match(message, /407/);
            assert(!message.includes('wr0ng') && !message.includes('joe'), message);
        }
    });

    it('is none when it is empty', async () => {
        const remotes = testRemotes({ httpProxy: '', outbound: { allow: ['127.0.0.1'] } });
        assert.deepEqual(await remotes.repository(plain.url()).getImage(UUID, call()), MANIFEST);
        assert.equal(proxy.connections, 0);
    });

    it('is not used for downloads', async () => {
        const remotes = remotesWith({ outbound: { allow: ['127.0.0.1'] } });
        await drain((await remotes.download(secure.url(), call())).body);
        assert.equal(proxy.connections, 0);
        assert.equal(secure.connections, 1);
        // A name that only the proxy could find.
        await failure(() => remotes.download(`https://${HOST}`, call()));
        assert.equal(proxy.connections, 0);
    });

    describe('targets', () => {
        it('are refused by what their URLs say, without a word to the proxy', async () => {
            const remotes = remotesWith();
            for (const url of forbiddenUrls(plain.port)) {
                await refusal(() => remotes.repository(url).getImage(UUID, call()));
            }
            assert.equal(proxy.connections, 0);
        });

        it('are refused by the addresses that their names have here', async () => {
            const hosts = { [HOST]: ['192.88.98.1', '10.0.0.1'], 'rebind.example.com': ['::ffff:127.0.0.1'] };
            const remotes = remotesWith({}, hosts);
            for (const host of Object.keys(hosts)) {
                for (const scheme of ['http', 'https']) {
                    await refusal(() => remotes.repository(`${scheme}://${host}`).getImage(UUID, call()));
                }
            }
            assert.equal(proxy.connections, 0);
        });

        it('are judged for every request anew', async () => {
            const answers = [['192.88.98.1'], ['127.0.0.1']];
            const hosts: Hosts = { [HOST]: async () => answers.shift() ?? [] };
            const repository = remotesWith({}, hosts).repository(`https://${HOST}`);
            await repository.getImage(UUID, call());
            await refusal(() => repository.getImage(UUID, call()));
        });

        it('are left to the proxy when their names are not found here in time', async () => {
            const hosts: Hosts = { [HOST]: () => new Promise(() => undefined) };
            const repository = remotesWith({}, hosts).repository(`https://${HOST}`);
            assert.deepEqual(await repository.getImage(UUID, call()), MANIFEST);
        });

        it('are not judged when they are allowed by name', async () => {
            const hosts = { [HOST]: ['127.0.0.1'] };
            const repository = remotesWith({ outbound: { allow: [HOST] } }, hosts).repository(
                `http://${HOST}`,
            );
            assert.deepEqual(await repository.getImage(UUID, call()), MANIFEST);
        });

        it('are not waited for when the call is aborted', async () => {
            const reason = new Error('changed my mind');
            const hosts: Hosts = { [HOST]: () => new Promise(() => undefined) };
            const repository = remotesWith({ outbound: {} }, hosts).repository(`https://${HOST}`);
            const controller = new AbortController();
            const running = assert.rejects(repository.getImage(UUID, call(controller.signal)), reason);
            controller.abort(reason);
            await running;
        });
    });

    describe('when something is wrong', () => {
        for (const scheme of ['http', 'https']) {
            it(`a proxy that is not there fails ${scheme}`, async () => {
                const repository = remotesWith().repository(`${scheme}://${HOST}`);
                await proxy.stop();
                const { message } = await failure(() => repository.getImage(UUID, call()));
                assert.match(message, /proxy could not be reached/);
            });

            it(`a proxy that says nothing fails ${scheme} in time`, async () => {
                proxy.silent = true;
                const { message } = await failure(() =>
                    remotesWith().repository(`${scheme}://${HOST}`).getImage(UUID, call()),
                );
                assert.match(message, /within 300 ?ms/);
            });

            it(`a server that is not there behind the proxy fails ${scheme}`, async () => {
                await Promise.all([plain.stop(), secure.stop()]);
                const { message } = await failure(() =>
                    remotesWith().repository(`${scheme}://${HOST}`).getImage(UUID, call()),
                );
                assert.match(message, /502/);
            });

            it(`a server that lies behind the proxy is found out over ${scheme}`, async () => {
                plain.behave = secure.behave = short;
                await failure(async () => {
                    const { body } = await remotesWith()
                        .repository(`${scheme}://${HOST}`)
                        .getFile(UUID, 0, call());
                    await drain(body);
                });
            });
        }

        it('a certificate is verified through the tunnel', async () => {
            const remotes = testRemotes({ httpProxy: proxy.url() }, { hosts: {} });
            const { message } = await failure(() =>
                remotes.repository(`https://${HOST}`).getImage(UUID, call()),
            );
            assert.match(message, /certificate/);
            const other = remotesWith().repository('https://other.example.com');
            assert.match((await failure(() => other.getImage(UUID, call()))).message, /another name/);
            const insecure = testRemotes({ httpProxy: proxy.url(), allowInsecure: true }, { hosts: {} });
            assert.deepEqual(await insecure.repository(`https://${HOST}`).getImage(UUID, call()), MANIFEST);
        });
    });
});
