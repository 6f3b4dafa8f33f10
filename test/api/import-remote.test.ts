/** AdminImportRemoteImage, run by this server's own jobs (imports.md §4). */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { assertError, at, FILE, ICON, OWNER, sha1, UNKNOWN, type Answer, type Client } from '../support/api';
import { CHANNELS } from '../support/channels';
import { startedJob, untilEnded, untilJob } from '../support/jobs';
import { LyingServer, pass, passing, type Spoiler } from '../support/lying-server';
import { Registry } from '../support/registry';
import { seenImages, untilClean } from '../support/stored-images';

const FAST = { jobs: { retryDelay: '20ms', maxRetryDelay: '100ms', attempts: 4 } };
const LOOPBACK = { outbound: { allow: ['127.0.0.1'] }, ...FAST };

describe('AdminImportRemoteImage', function () {
    this.timeout(40_000);
    let source: Registry;
    let target: Registry;
    /** Stands before the source and spoils some of its answers. */
    let meddler: LyingServer;
    let spoil: Spoiler;
    before(async () => {
        source = await Registry.start();
        target = await Registry.start(LOOPBACK);
        meddler = await LyingServer.start(passing(source.url, (req, res) => spoil(req, res)));
    });
    after(async () => {
        await target.stop();
        await meddler.stop();
        await source.stop();
    });
    beforeEach(() => {
        spoil = () => false;
    });

    const remote = (uuid: string, query = '', url = meddler.url()): Promise<Answer> =>
        target.client.post(at(uuid, `?action=import-remote&source=${encodeURIComponent(url)}${query}`), {});
    const everything = async ({ client }: Registry, uuid: string) => ({
        manifest: (await client.get(at(uuid))).manifest,
        file: (await client.get(at(uuid, '/file'))).body,
        icon: await client.get(at(uuid, '/icon')),
    });
    const status = async (uuid: string) => (await target.client.get(at(uuid))).status;

    it('brings the image, its file, its icon and its origins, base first', async () => {
        const base = await source.client.createActive({ name: 'base' }, randomBytes(100_000));
        await source.client.uploadIcon(base.uuid);
        const middle = await source.client.createActive({ origin: base.uuid });
        // Clones have disabled origins.
        await source.client.action(middle.uuid, 'disable');
        const top = await source.client.createActive({ origin: middle.uuid }, randomBytes(50_000));
        await source.client.uploadIcon(top.uuid);

        const answer = await remote(top.uuid);
        const job = startedJob(answer);
        assert.deepEqual(answer.json, { image_uuid: top.uuid, job_uuid: job });
        assert.equal(answer.headers['workflow-api'], target.url);
        const ended = await untilEnded(target.anonymous, job);
        assert.equal(ended.execution, 'succeeded', JSON.stringify(ended));
        assert.equal(ended.chain_results.at(-1)?.error, '');
        assert.deepEqual(ended.params.origins, [base.uuid, middle.uuid]);
        for (const { uuid } of [base, middle, top]) {
            const [there, here] = [await everything(source, uuid), await everything(target, uuid)];
            const owner = '00000000-0000-0000-0000-000000000000';
            assert.deepEqual(here.manifest, { ...there.manifest, owner });
            assert.deepEqual(here.file, there.file);
            assert.equal(here.icon.status, there.icon.status);
            assert.deepEqual(here.icon.status === 200 && here.icon.body, uuid !== middle.uuid && ICON);
        }
        const again = await remote(top.uuid);
        assertError(again, 409, 'ImageUuidAlreadyExists');
    });

    it('takes origins from here where it can', async () => {
        const base = await source.client.createActive();
        await untilEnded(target.client, startedJob(await remote(base.uuid)));
        const top = await source.client.createActive({ origin: base.uuid });
        const job = await untilEnded(target.client, startedJob(await remote(top.uuid)));
        assert.equal(job.execution, 'succeeded');
        assert.equal(job.params.origins, undefined);
    });

    it('refuses, in the contract’s order', async () => {
        const { uuid } = await target.client.create();
        const bare = await target.client.post(at(uuid, '?action=import-remote&account=x'), {});
        assertError(bare, 422, 'ValidationFailed', 'source:MissingParameter');
        assertError(await remote(uuid, '&account=x&skip_owner_check=z'), 403, 'OperatorOnly');
        const wrong = await remote(uuid, '&skip_owner_check=z');
        assertError(wrong, 422, 'InvalidParameter', 'skip_owner_check:Invalid');
        assertError(await remote(uuid), 409, 'ImageUuidAlreadyExists');
        assertError(await remote(UNKNOWN), 503, 'RemoteSourceError');
    });

    it('refuses origins that are not active, here or there', async () => {
        const base = await source.client.create();
        const { uuid } = await source.client.createActive({ origin: base.uuid });
        assertError(await remote(uuid), 422, 'OriginIsNotActive');
        await target.client.post(at(base.uuid, '?action=import'), base);
        await source.client.upload(base.uuid);
        await source.client.action(base.uuid, 'activate');
        assertError(await remote(uuid), 422, 'OriginIsNotActive');
    });

    it('tells which origin the source cannot give', async () => {
        const base = await source.client.createActive();
        const { uuid } = await source.client.createActive({ origin: base.uuid });
        spoil = ({ url }, res) => {
            const hit = url?.includes(base.uuid) === true;
            if (hit) {
                res.writeHead(500).end('broken');
            }
            return hit;
        };
        const answer = await remote(uuid);
        assertError(answer, 503, 'RemoteSourceError');
        assert.ok(answer.error.message.includes(base.uuid), answer.error.message);
    });

    it('tries again after a broken transfer', async () => {
        const bytes = randomBytes(2 << 20);
        const { uuid } = await source.client.createActive({}, bytes);
        let broken = 0;
        spoil = ({ url }, res) => {
            if (url?.includes('/file') !== true || broken === 2) {
                return false;
            }
            broken++;
            res.writeHead(200, { 'content-length': bytes.length });
            res.write(bytes.subarray(0, 100_000), () => res.destroy());
            return true;
        };
        const job = await untilEnded(target.client, startedJob(await remote(uuid)));
        assert.equal(job.execution, 'succeeded', JSON.stringify(job));
        assert.equal(broken, 2);
        assert.deepEqual((await target.client.get(at(uuid, '/file'))).body, bytes);
        assert.equal((await target.stored(uuid)).length, 1);
    });

    it('takes back what it has made when it fails for good, and nothing else', async () => {
        const here = await source.client.createActive();
        await untilEnded(target.client, startedJob(await remote(here.uuid)));
        const middle = await source.client.createActive({ origin: here.uuid });
        const top = await source.client.createActive({ origin: middle.uuid });
        spoil = ({ url }, res) => {
            const hit = url === `/images/${top.uuid}/file`;
            if (hit) {
                res.writeHead(200, { 'content-length': FILE.length }).end(Buffer.alloc(FILE.length));
            }
            return hit;
        };
        const job = await untilEnded(target.client, startedJob(await remote(top.uuid)));
        assert.equal(job.execution, 'failed');
        const { error } = job.chain_results.at(-1) ?? {};
        assert.equal(typeof error === 'object' && error.code, 'Download', JSON.stringify(error));
        assert.equal(job.chain_results.at(-1)?.name, 'add_image_file');
        assert.deepEqual(
            await Promise.all([here, middle, top].map(({ uuid }) => status(uuid))),
            [200, 404, 404],
        );
    });

    it('leaves alone an image that somebody else made meanwhile', async () => {
        const { uuid } = await source.client.createActive();
        let asked = 0;
        spoil = ({ url }, res) => {
            if (url !== `/images/${uuid}` || ++asked < 2) {
                return false;
            }
            // The job asks now: another request is faster.
            void target.client
                .post(at(uuid, '?action=import'), {
                    ...{ v: 2, uuid, name: 'theirs', version: '1', type: 'other', os: 'other', public: true },
                })
                .then(() => res.writeHead(503).end());
            return true;
        };
        const job = await untilEnded(target.client, startedJob(await remote(uuid)));
        assert.equal(job.execution, 'failed');
        assert.equal((await target.client.get(at(uuid))).manifest.name, 'theirs');
    });

    it('brings an origin again that is taken away before the image is built on it', async () => {
        const base = await source.client.createActive({}, randomBytes(1000));
        const { uuid } = await source.client.createActive({ origin: base.uuid });
        let asked = 0;
        spoil = (req, res) => {
            const hit = req.url === `/images/${uuid}` && ++asked === 2;
            if (hit) {
                // Asked by the job, which has the origin by now: another job fails and takes it back, or an operator does.
                void target.client.delete(at(base.uuid)).then(({ status: deleted }) => {
                    assert.equal(deleted, 204);
                    pass(source.url, req, res);
                });
            }
            return hit;
        };
        const job = await untilEnded(target.client, startedJob(await remote(uuid)));
        assert.equal(job.execution, 'succeeded', JSON.stringify(job));
        assert.equal((await target.client.get(at(base.uuid))).manifest.state, 'active');
        assertError(await target.client.delete(at(base.uuid)), 422, 'ImageHasDependentImages');
    });

    it('is content with a file that somebody else gave the image, which is activated by then', async () => {
        const { uuid } = await source.client.createActive({}, randomBytes(100_000));
        spoil = (req, res) => {
            const hit = req.url === `/images/${uuid}/file`;
            if (hit) {
                void target.client.upload(uuid).then(async () => {
                    assert.equal((await target.client.action(uuid, 'activate')).status, 200);
                    pass(source.url, req, res);
                });
            }
            return hit;
        };
        const job = await untilEnded(target.client, startedJob(await remote(uuid)));
        assert.equal(job.execution, 'succeeded', JSON.stringify(job));
        assert.deepEqual((await target.client.get(at(uuid, '/file'))).body, FILE);
        assert.equal((await target.stored(uuid)).length, 1);
    });

    it('does not go on retrying what cannot become right', async () => {
        const { uuid } = await source.client.createActive();
        const before = meddler.requests.length;
        let asked = 0;
        spoil = ({ url }, res) => {
            const hit = url === `/images/${uuid}` && ++asked > 1;
            if (hit) {
                res.writeHead(404, { 'content-type': 'application/json' }).end(
                    '{"code":"ResourceNotFound","message":"gone"}',
                );
            }
            return hit;
        };
        const job = await untilEnded(target.client, startedJob(await remote(uuid)));
        assert.equal(job.execution, 'failed');
        assert.equal(meddler.requests.slice(before).filter((line) => line.includes(uuid)).length, 2);
        assert.equal(await status(uuid), 404);
    });

    it('reads what a source of old says: manifests of version 1', async () => {
        const base = await source.client.createActive();
        const { uuid } = await source.client.createActive();
        const old = (id: string, fields: object): string =>
            JSON.stringify({
                ...{ uuid: id, name: 'old', version: '1.0.0', type: 'zone-dataset', os: 'smartos' },
                ...{ creator_uuid: OWNER, created_at: '2011-11-11T11:11Z' },
                files: [{ path: 'old-1.0.0.zfs.gz', sha1: sha1(FILE), size: FILE.length }],
                ...fields,
            });
        spoil = ({ url }, res) => {
            const id = [base.uuid, uuid].find((one) => url === `/images/${one}`);
            if (id !== undefined) {
                res.writeHead(200, { 'content-type': 'application/json' }).end(
                    old(id, id === uuid ? { origin: base.uuid } : {}),
                );
            }
            return id !== undefined;
        };
        const job = await untilEnded(target.client, startedJob(await remote(uuid)));
        assert.equal(job.execution, 'succeeded', JSON.stringify(job));
        const { manifest } = await target.client.get(at(uuid));
        assert.deepEqual(manifest.files, [{ sha1: sha1(FILE), size: FILE.length, compression: 'gzip' }]);
        assert.equal(manifest.published_at, '2011-11-11T11:11:00Z');
        assert.equal(await status(base.uuid), 200);
    });

    it('fails at once when the source has no file of the image', async () => {
        const { uuid } = await source.client.create();
        const before = meddler.requests.length;
        const job = await untilEnded(target.client, startedJob(await remote(uuid)));
        assert.equal(job.execution, 'failed');
        const { name, error } = job.chain_results.at(-1) ?? {};
        assert.equal(name, 'add_image_file');
        assert.equal(typeof error === 'object' && error.code, 'RemoteSourceError', JSON.stringify(error));
        // Of the request, of the step that adds the image, and of the one that adds its file.
        assert.equal(meddler.requests.length - before, 3);
        assert.equal(await status(uuid), 404);
    });

    it('is canceled in the middle of a transfer and leaves nothing', async () => {
        const { uuid } = await source.client.createActive();
        let stalled: ServerResponse | undefined;
        spoil = ({ url }, res) => {
            if (url !== `/images/${uuid}/file`) {
                return false;
            }
            stalled = res.writeHead(200, { 'content-length': FILE.length });
            stalled.write(FILE.subarray(0, 5));
            return true;
        };
        const job = startedJob(await remote(uuid));
        await untilJob(target.client, job, ({ progress }) => progress !== undefined);
        assert.equal(await status(uuid), 200);
        const closed = once(stalled as unknown as ServerResponse, 'close');
        assert.equal((await target.client.post(`/jobs/${job}/cancel`, {})).status, 200);
        await closed;
        await untilJob(target.client, job, (shown) => shown.oncancel_results?.length === 2);
        assert.equal(await status(uuid), 404);
        assert.equal((await target.client.get(`/jobs/${job}`)).status, 200);
        await target.untilStored(uuid, []);
    });

    it('that is canceled leaves the image to whoever has activated it meanwhile', async () => {
        const { uuid } = await source.client.createActive();
        await source.client.uploadIcon(uuid);
        spoil = ({ url }, res) => {
            const hit = url === `/images/${uuid}/icon`;
            if (hit) {
                res.writeHead(200, { 'content-type': 'image/png', 'content-length': ICON.length }).write('x');
            }
            return hit;
        };
        const job = startedJob(await remote(uuid));
        await untilJob(target.client, job, ({ chain_results: done }) => done.length === 3);
        assert.equal((await target.client.action(uuid, 'activate')).status, 200);
        await target.client.post(`/jobs/${job}/cancel`, {});
        await untilJob(target.client, job, (shown) => shown.oncancel_results?.length === 2);
        assert.equal((await target.client.get(at(uuid))).manifest.state, 'active');
        assert.deepEqual((await target.client.get(at(uuid, '/file'))).body, FILE);
    });

    it('leaves no unreferred object behind, whatever went wrong before', async () => {
        const images = await seenImages(target.client);
        await untilClean(target.dataDir, images, 5000);
    });
});

describe('Imports with channels', () => {
    it('are judged by signature, uuid, channel and body, before anything of theirs', async () => {
        const registry = await Registry.start({ channels: CHANNELS });
        try {
            const { client, anonymous } = registry;
            const actions = ['import', 'import&source=x', 'import-remote&source=x', 'import-from-datacenter'];
            for (const action of actions) {
                // All of them, each wrong in one way fewer.
                const ask = (by: Client, uuid: string, channel: string, body: string) =>
                    by.request('POST', at(uuid, `?action=${action}&account=x&channel=${channel}`), {
                        headers: { 'content-type': 'application/json' },
                        body,
                    });
                assertError(await ask(anonymous, 'x', 'nope', '{'), 401, 'UnauthorizedError');
                assertError(await ask(client, 'x', 'nope', '{'), 404, 'ResourceNotFound');
                const channel = await ask(client, UNKNOWN, 'nope', '{');
                assertError(channel, 422, 'ValidationFailed', 'channel:Invalid');
                assertError(await ask(client, UNKNOWN, 'dev', '{'), 400, 'InvalidContent');
                const answer = await ask(client, UNKNOWN, 'dev', '{}');
                if (action === 'import-from-datacenter') {
                    assertError(answer, 422, 'ValidationFailed', 'account:Invalid');
                } else {
                    assertError(answer, 403, 'OperatorOnly');
                }
            }
        } finally {
            await registry.stop();
        }
    });

    it('puts the image into the channel of the request, and asks the source for the one it names', async () => {
        const source = await Registry.start({ channels: CHANNELS });
        const target = await Registry.start({ ...LOOPBACK, channels: CHANNELS });
        try {
            const { uuid } = (
                await source.client.post('/images?channel=release', {
                    name: 'n',
                    version: '1',
                    type: 'other',
                    os: 'other',
                    public: true,
                    owner: OWNER,
                })
            ).manifest;
            await source.client.put(at(uuid, '/file?compression=none&channel=release'), FILE);
            await source.client.action(uuid, 'activate&channel=release');
            const url = encodeURIComponent(`${source.url}?channel=release`);
            const answer = await target.client.post(
                at(uuid, `?action=import-remote&channel=release&source=${url}`),
                {},
            );
            const job = await untilEnded(target.client, startedJob(answer));
            assert.equal(job.execution, 'succeeded', JSON.stringify(job));
            const v2 = { 'accept-version': '~2' };
            const { manifest } = await target.client.get(at(uuid, '?channel=release'), v2);
            assert.deepEqual(manifest.channels, ['release']);
        } finally {
            await target.stop();
            await source.stop();
        }
    });
});
