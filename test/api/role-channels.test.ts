/** Roles that count in some channels only (daemon.md §5, docs/decisions/0017-roles-and-reads.md). */
import assert from 'node:assert/strict';
import {
    at,
    assertError,
    FILE,
    ICON,
    MANIFEST,
    newUuid,
    OTHER,
    sha1,
    type Answer,
    type Client,
} from '../support/api';
import { CHANNELS } from '../support/channels';
import { testImage } from '../support/images';
import { plantedJob } from '../support/jobs';
import { DATACENTER, Registry, testKeys } from '../support/registry';
import { untilStaged } from '../support/slow-upload';
import type { JobRow } from '../../lib/jobs/value';
import type { RawImage } from '../../lib/manifest';

const LINE = testKeys()[0].publicLine;

/** All three sign with the same key; alice may do everything. */
const USERS = {
    channels: [...CHANNELS, { name: 'staging', description: 'Between them.' }],
    authKeys: { alice: [LINE], dev: [LINE], both: [LINE], importer: [LINE] },
    auth: {
        roles: {
            dev: { role: 'write', channels: ['dev'] },
            both: { role: 'write', channels: ['dev', 'release'] },
            importer: { role: 'admin', channels: ['release'] },
        },
    },
};

describe('A role in some channels', () => {
    let registry: Registry;
    let alice: Client;
    /** May write in the default channel. */
    let dev: Client;
    /** May write in the default channel and in release. */
    let both: Client;

    before(async () => {
        registry = await Registry.start(USERS);
        alice = registry.client;
        dev = registry.as('dev');
        both = registry.as('both');
    });
    after(() => registry.stop());

    /** An active image in these channels, with a file and an icon. */
    const plant = (channels: string[], fields: Partial<RawImage> = {}): Promise<RawImage> =>
        registry.plantImage({ channels, ...fields });
    const draft = { activated: false, state: 'unactivated' } as const;

    /** The refusal names who, where the role counts, and which channel is in the way. */
    function assertRefused(answer: Answer, user: string, ...named: string[]): void {
        assertError(answer, 403, 'NotAuthorized');
        for (const name of [user, ...named]) {
            assert.ok(answer.error.message.includes(`"${name}"`), answer.error.message);
        }
    }

    /** Nothing of the image is changed by requests that are all refused. */
    async function assertUnchanged(uuid: string, requests: () => Promise<void>): Promise<void> {
        const before = await registry.snapshot(uuid);
        await requests();
        assert.deepEqual(await registry.snapshot(uuid), before);
    }

    describe('reading', () => {
        const unpublished = (client: Client, query: string) =>
            client.get(`/images?state=unactivated&${query}`);

        it('shows in its own channels what an operator sees, and in others what everybody does', async () => {
            const own = await plant(['dev'], draft);
            const other = await plant(['release'], draft);
            const active = await plant(['release']);
            assert.ok((await unpublished(dev, '')).uuids.includes(own.uuid));
            assert.ok((await unpublished(dev, 'channel=dev')).uuids.includes(own.uuid));
            assert.ok((await unpublished(both, 'channel=release')).uuids.includes(other.uuid));
            for (const query of ['channel=release', 'channel=*', 'channel=staging']) {
                assert.deepEqual((await unpublished(dev, query)).uuids, [], query);
            }
            const all = (await dev.get('/images?state=all&channel=release')).uuids;
            assert.ok(all.includes(active.uuid) && !all.includes(other.uuid));
            const everywhere = (await dev.get('/images?state=all&channel=*')).uuids;
            assert.ok(everywhere.includes(active.uuid));
            assert.ok(!everywhere.includes(own.uuid) && !everywhere.includes(other.uuid));
        });

        it('does not have all channels by having each of them', async () => {
            const raw = await plant(['dev'], draft);
            assert.deepEqual((await unpublished(both, 'channel=*')).uuids, []);
            assert.ok((await unpublished(alice, 'channel=*')).uuids.includes(raw.uuid));
        });

        it('gives admin fields in its own channels only', async () => {
            const { uuid } = await plant(['dev', 'release']);
            const stor = async (client: Client, query: string) =>
                (await client.get(at(uuid, `?inclAdminFields=true${query}`))).manifest.files[0]?.stor;
            assert.equal(await stor(dev, ''), 'local');
            assert.equal(await stor(both, '&channel=release'), 'local');
            assert.equal(await stor(alice, '&channel=*'), 'local');
            for (const query of ['&channel=release', '&channel=*']) {
                for (const path of ['/images', at(uuid)]) {
                    const answer = await dev.get(`${path}?inclAdminFields=true${query}`);
                    assertError(answer, 401, 'UnauthorizedError');
                }
            }
        });

        it('is remembered for nobody else: each sees its own list, whoever asked before', async () => {
            const raw = await plant(['release'], draft);
            const list = '/images?state=all&channel=release&name=' + raw.name;
            const seen: [Client, boolean][] = [
                [registry.anonymous, false],
                [dev, false],
                [both, true],
                [alice, true],
            ];
            const orders = [seen, seen.toReversed(), [...seen.slice(2), ...seen.slice(0, 2)]];
            for (const order of orders) {
                const tags = new Map<Client, string>();
                for (const [client, sees] of order) {
                    const answer = await client.get(list);
                    assert.deepEqual(answer.uuids, sees ? [raw.uuid] : []);
                    tags.set(client, String(answer.headers.etag));
                }
                // What one of them has is not what the others would get.
                const [trusted, stranger] = [tags.get(alice)!, tags.get(dev)!];
                assert.equal((await dev.get(list, { 'if-none-match': trusted })).status, 200);
                assert.equal((await alice.get(list, { 'if-none-match': stranger })).status, 200);
                assert.equal((await both.get(list, { 'if-none-match': trusted })).status, 304);
                await registry.client.post('/state?action=dropcaches');
            }
        });

        it('is known to ping, which has no channel', async () => {
            const answer = (await dev.get('/ping')).json as { user: string; pid: number };
            assert.equal(answer.user, 'dev');
            assert.equal(answer.pid, registry.server.child.pid);
        });
    });

    describe('changing', () => {
        it('makes images in its own channels, the default one included', async () => {
            const accept = { 'accept-version': '*' };
            assert.deepEqual((await dev.post('/images', MANIFEST, accept)).manifest.channels, ['dev']);
            assertRefused(await dev.post('/images?channel=release', MANIFEST), 'dev', 'dev', 'release');
            const made = await both.post('/images?channel=release', MANIFEST, accept);
            assert.deepEqual(made.manifest.channels, ['release']);
            // What the body says of channels never counted.
            const given = { ...MANIFEST, channels: ['release'] };
            assert.deepEqual((await dev.post('/images', given, accept)).manifest.channels, ['dev']);
        });

        it('needs the default channel where no other is named', async () => {
            const importer = registry.as('importer');
            assertRefused(await importer.post('/images', MANIFEST), 'importer', 'release', 'dev');
            assert.equal((await importer.post('/images?channel=release', MANIFEST)).status, 200);
        });

        it('hears of a channel that there is not before it hears of its own', async () => {
            const answer = await dev.post('/images?channel=nosuch', MANIFEST);
            assertError(answer, 422, 'ValidationFailed', 'channel:Invalid');
        });

        it('is refused before the body is read, and before the image is looked for', async () => {
            // The body that is announced never comes.
            const answer = await dev.post(at(newUuid(), '?action=update&channel=release'), undefined, {
                'content-type': 'application/json',
                'content-length': '5000000',
            });
            assertRefused(answer, 'dev', 'dev', 'release');
        });

        it('works through the whole life of an image of its own', async () => {
            const { uuid } = await dev.createActive();
            await dev.uploadIcon(uuid);
            assert.equal((await dev.action(uuid, 'disable')).status, 200);
            assert.equal((await dev.post(at(uuid, '/acl'), [OTHER])).status, 200);
            assert.equal((await dev.delete(at(uuid, '/icon'))).status, 200);
            assert.equal((await dev.delete(at(uuid))).status, 204);
        });

        it('leaves images alone that are in other channels as well, in every way', async () => {
            const { uuid } = await plant(['dev', 'release'], draft);
            await assertUnchanged(uuid, async () => {
                for (const request of [
                    () => dev.action(uuid, 'update', { description: 'x' }),
                    () => dev.action(uuid, 'activate'),
                    () => dev.action(uuid, 'disable'),
                    () => dev.action(uuid, 'enable'),
                    () => dev.post(at(uuid, '/acl'), [OTHER]),
                    () => dev.post(at(uuid, '/acl?action=remove'), [OTHER]),
                    () => dev.put(at(uuid, '/file?compression=none'), FILE),
                    () => dev.post(at(uuid, '/file/from-url?compression=none'), { file_url: 'https://x/' }),
                    () => dev.put(at(uuid, '/icon'), ICON, { 'content-type': 'image/png' }),
                    () => dev.delete(at(uuid, '/icon')),
                    () => dev.delete(at(uuid, '?force_all_channels=true')),
                ]) {
                    assertRefused(await request(), 'dev', 'dev', 'release');
                }
            });
            assert.equal((await both.action(uuid, 'update', { description: 'x' })).status, 200);
        });

        it('does not move an image into other channels, nor out of its own', async () => {
            const { uuid } = await plant(['dev']);
            const move = (client: Client, channels: unknown) => client.action(uuid, 'update', { channels });
            await assertUnchanged(uuid, async () => {
                assertRefused(await move(dev, ['release']), 'dev', 'dev', 'release');
                assertRefused(await move(dev, ['dev', 'release']), 'dev', 'dev', 'release');
                assertRefused(await move(dev, ['dev', 'nosuch']), 'dev', 'dev', 'nosuch');
                for (const wrong of ['release', 5, { release: 1 }, null]) {
                    assertError(
                        await move(dev, wrong),
                        422,
                        'ValidationFailed',
                        `channels:${wrong === null ? 'MissingParameter' : 'Invalid'}`,
                    );
                }
            });
            assert.equal((await move(both, ['release'])).status, 200);
            assert.equal(
                (await both.action(uuid, 'update&channel=release', { channels: ['release', 'dev'] })).status,
                200,
            );
        });

        it('takes an image out of its own channel, whatever others it is in', async () => {
            const { uuid } = await plant(['dev', 'release']);
            assertRefused(await dev.delete(at(uuid, '?channel=release')), 'dev', 'dev', 'release');
            assert.equal((await dev.delete(at(uuid))).status, 204);
            assert.deepEqual((await registry.record(uuid))?.channels, ['release']);
            // What is left is in no channel of its own.
            assertError(await dev.delete(at(uuid)), 404, 'ResourceNotFound');
            const all = await plant(['dev', 'release']);
            assert.equal((await both.delete(at(all.uuid, '?force_all_channels=true'))).status, 204);
            assert.equal(await registry.record(all.uuid), undefined);
        });

        it('adds an image to a channel of its own, whatever others it is in', async () => {
            const { uuid } = await plant(['dev', 'staging']);
            await assertUnchanged(uuid, async () => {
                assertRefused(
                    await dev.action(uuid, 'channel-add', { channel: 'release' }),
                    'dev',
                    'dev',
                    'release',
                );
                const unknown = await dev.action(uuid, 'channel-add', { channel: 'nosuch' });
                assertError(unknown, 422, 'ValidationFailed', 'channel:Invalid');
            });
            assert.equal((await both.action(uuid, 'channel-add', { channel: 'release' })).status, 200);
            assert.deepEqual((await registry.record(uuid))?.channels, ['dev', 'staging', 'release']);
        });

        it('is judged by the channels that the image has when it is written', async () => {
            const { uuid } = await alice.create();
            let goOn: () => void = () => undefined;
            const added = new Promise<void>((resolve) => (goOn = resolve));
            async function* body(): AsyncGenerator<Buffer> {
                yield FILE.subarray(0, 20);
                await added;
                yield FILE.subarray(20);
            }
            const upload = dev.put(at(uuid, '/file?compression=none'), body());
            // Its steps have passed when there is something to write to.
            await untilStaged(registry.dataDir, uuid, 0);
            assert.equal((await alice.action(uuid, 'channel-add', { channel: 'release' })).status, 200);
            goOn();
            assertRefused(await upload, 'dev', 'dev', 'release');
            assert.deepEqual((await registry.record(uuid))?.files ?? [], []);
            await registry.untilStored(uuid, []);
        });

        it('completes no placeholder of other channels by an import', async () => {
            const importer = registry.as('importer');
            const importInto = (uuid: string) =>
                importer.post(at(uuid, '?action=import&channel=release'), {
                    ...MANIFEST,
                    v: 2,
                    uuid,
                    published_at: '2020-01-01T00:00:00.000Z',
                });
            const placeholder = { ...draft, state: 'creating' } as const;
            const foreign = await plant(['dev'], placeholder);
            await assertUnchanged(foreign.uuid, async () =>
                assertRefused(await importInto(foreign.uuid), 'importer', 'release', 'dev'),
            );
            const own = await plant(['release'], placeholder);
            assert.equal((await importInto(own.uuid)).status, 200);
            assertRefused(
                await importer.post(at(newUuid(), '?action=import'), MANIFEST),
                'importer',
                'release',
                'dev',
            );
        });

        it('cancels jobs of its own channels only', async () => {
            const importer = registry.as('importer');
            const job = (n: number, channel?: string) =>
                plantedJob(n, 'queued', { imageUuid: newUuid(), params: { ...(channel && { channel }) } });
            const [foreign, own, none] = [job(1, 'dev'), job(2, 'release'), job(3)];
            await registry.plantJobs(foreign, own, none);
            const cancel = (client: Client, { uuid }: JobRow) => client.post(`/jobs/${uuid}/cancel`, {});
            assertRefused(await cancel(importer, foreign), 'importer', 'release', 'dev');
            const { json } = await importer.get(`/jobs/${foreign.uuid}`);
            assert.equal((json as { execution: string }).execution, 'queued');
            for (const [client, one] of [
                [importer, own],
                [importer, none],
                [alice, foreign],
            ] as const) {
                const answer = await cancel(client, one);
                assert.equal((answer.json as { execution: string }).execution, 'canceled');
            }
        });

        it('is given to routes without a channel by the role alone', async () => {
            const importer = registry.as('importer');
            assert.equal((await importer.get('/state')).status, 200);
            assert.equal((await importer.get('/jobs')).status, 200);
            assert.equal((await importer.post('/authkeys/reload')).status, 200);
        });
    });
});

describe('A clone by a role in some channels', () => {
    it('is made in no other channels, not even of an origin', async () => {
        const registry = await Registry.start({ ...DATACENTER, ...USERS });
        try {
            const file = { sha1: sha1(FILE), size: FILE.length, stor: 'local' as const, compression: 'none' };
            const make = async (n: number, fields: Partial<RawImage>) => {
                const raw = testImage(n, { acl: [OTHER], files: [file], ...fields });
                await registry.plant(raw);
                await registry.plantObject(raw.uuid, 'file0', FILE);
                return raw;
            };
            const base = await make(1, { channels: ['dev', 'release'] });
            const wide = await make(2, { channels: ['dev', 'release'] });
            const onWide = await make(3, { channels: ['dev'], origin: base.uuid });
            const alone = await make(4, { channels: ['dev'] });
            const clone = (client: Client, { uuid }: RawImage) =>
                client.post(at(uuid, `/clone?account=${OTHER}`), {}, { 'accept-version': '*' });
            const owned = async () => (await registry.client.get(`/images?owner=${OTHER}&state=all`)).uuids;

            const dev = registry.as('dev');
            for (const image of [wide, onWide]) {
                const answer = await clone(dev, image);
                assertError(answer, 403, 'NotAuthorized');
                assert.match(answer.error.message, /"dev".*"dev" only.*"release"/);
            }
            assert.deepEqual(await owned(), []);
            assert.deepEqual((await clone(dev, alone)).manifest.channels, ['dev']);
            assert.equal((await clone(registry.as('both'), onWide)).status, 200);
            assert.equal((await owned()).length, 3);
        } finally {
            await registry.stop();
        }
    });
});
