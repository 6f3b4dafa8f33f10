/**
 * CreateImageFromVm from the machine on: the checks of vm-images.md §2 in their order, the placeholder (§3), and the
 * job (§4). Machines and servers come from stand-ins over HTTP; jobs go nowhere.
 */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Config } from '../../lib/config/types';
import { Compute } from '../../lib/dc/compute';
import type { PrepareScripts } from '../../lib/dc/driver';
import { PrepareScriptFolder } from '../../lib/dc/prepare-scripts';
import { ApiError } from '../../lib/errors';
import { startImageFromVm, type FromVmParts, type FromVmRequest } from '../../lib/images/from-vm';
import { isOlder } from '../../lib/images/platform';
import type { Job, NewJob } from '../../lib/jobs/driver';
import type { RawImage } from '../../lib/manifest';
import { Datacenter, type ServerRecord, type Vm } from '../support/datacenter';
import { Domain } from '../support/domain';
import { testImage, testUuid } from '../support/images';
import * as lies from '../support/lying-server';
import { configOf } from '../support/remotes';

const OWNER = testUuid(901);
const STRANGER = testUuid(902);
const IMAGE = testUuid(1);
const ORIGIN = testUuid(2);
const DAY = 24 * 3_600_000;

/** The record of an image that machines can be made from. */
const active = (n: number, fields: Partial<RawImage> = {}): RawImage =>
    testImage(n, {
        files: [{ sha1: 'a'.repeat(40), size: 1, stor: 'local', compression: 'none' }],
        ...fields,
    });

type Change = Partial<Omit<FromVmRequest, 'context' | 'createJob' | 'log'>>;

describe('an image of a machine', () => {
    let datacenter: Datacenter;
    let domain: Domain;
    let compute: Compute;
    let config: Config;
    /** What was queued. */
    let queued: NewJob[];
    /** Called before a job is queued. */
    let beforeJob: () => Promise<void> | void;
    let directoryIsAway: boolean;
    let prepareScripts: PrepareScripts;

    before(async () => {
        datacenter = await Datacenter.start();
        domain = await Domain.make({ mode: 'dc' });
        await domain.plant(active(2));
    });
    after(async () => {
        await domain.remove();
        await datacenter.stop();
    });

    /** Deletes images that are there. */
    async function forget(...uuids: string[]): Promise<void> {
        for (const uuid of uuids) {
            if (await domain.record(uuid)) {
                await domain.database.images.commit({ delete: [{ uuid }] });
            }
        }
    }

    beforeEach(async () => {
        datacenter.vmapi.requests.length = 0;
        datacenter.cnapi.requests.length = 0;
        domain.logged.length = 0;
        config = configOf({
            ...datacenter.config,
            services: { connectTimeout: '200ms', answerTimeout: '200ms' },
        });
        compute = new Compute({ config, serverName: 'IMGAPI/test' });
        prepareScripts = new PrepareScriptFolder();
        queued = [];
        beforeJob = () => undefined;
        directoryIsAway = false;
    });
    afterEach(async () => {
        datacenter.vmapi.spoil = undefined;
        datacenter.cnapi.spoil = undefined;
        await compute.close();
        await forget(IMAGE, testUuid(3), testUuid(9));
        await Promise.all([datacenter.vmapi.idle(), datacenter.cnapi.idle()]);
    });

    function parts(): FromVmParts {
        const { images, clock } = domain;
        const accounts = {
            connected: true,
            find: async (uuid: string) => {
                if (directoryIsAway) {
                    throw new ApiError('ServiceUnavailableError', 'away');
                }
                return uuid === OWNER ? { uuid, login: 'owner' } : undefined;
            },
            open: async () => undefined,
            close: async () => undefined,
            dropCache: () => undefined,
        };
        return { config, images, accounts, compute, prepareScripts, clock };
    }

    /** A machine that everything is right with, on a server that is. */
    function machine(fields: Partial<Vm> = {}, server: Partial<ServerRecord> = {}): Vm {
        const { uuid } = datacenter.addServer(server);
        return datacenter.addVm({ owner_uuid: OWNER, server_uuid: uuid, image_uuid: ORIGIN, ...fields });
    }

    const start = (vm: Pick<Vm, 'uuid'>, change: Change = {}, signal = new AbortController().signal) =>
        startImageFromVm(parts(), {
            vmUuid: vm.uuid,
            account: undefined,
            manifest: { uuid: IMAGE, owner: OWNER, name: 'of-a-vm', version: '1' },
            incremental: false,
            maxOriginDepth: undefined,
            channel: undefined,
            context: { requestId: 'a-request', signal },
            createJob: async (job) => {
                await beforeJob();
                queued.push(job);
                return { uuid: testUuid(77) } as Job;
            },
            log: domain.log,
            ...change,
        });

    /** The error a request ends with: `code`, then the fields. Nothing is left of it but what was there. */
    async function refusal(vm: Pick<Vm, 'uuid'>, change: Change = {}): Promise<string> {
        const before = await domain.record(IMAGE);
        try {
            await start(vm, change);
        } catch (err) {
            assert(err instanceof ApiError, String(err));
            assert.deepEqual(queued, []);
            assert.deepEqual(await domain.record(IMAGE), before);
            const fields = err.toBody().errors?.map(({ field, code }) => ` ${field}:${code}`) ?? [];
            return `${err.status} ${err.code}${fields.join('')}`;
        }
        return assert.fail('it succeeded');
    }

    const NO_MACHINE = '422 InvalidParameter vm_uuid:Invalid';
    const INTERNAL = '500 InternalError';
    const TOO_OLD = '422 InsufficientServerVersion';

    /** Bad answers of a service. */
    const spoilt: Record<string, lies.Behaviour> = {
        'hangs up': lies.hangUp,
        'is too slow': lies.silent,
        'stops in the middle': lies.stalled,
        'answers HTML': lies.bytes('<html></html>'),
        'answers 500': lies.json({ code: 'InternalError', message: 'x' }, 500),
        redirects: lies.redirect('http://127.0.0.1:1/'),
        'answers nothing': (_request, response) => void response.writeHead(204).end(),
        'answers with a list': lies.json([]),
        'answers about something else': lies.json({ uuid: STRANGER }),
        'lies about types': lies.json({ server_uuid: 5, sysinfo: [] }),
    };

    describe('asks VMAPI for the machine', () => {
        it('with the account and the request id', async () => {
            const vm = machine();
            await start(vm, { account: OWNER });
            const [request] = datacenter.vmapi.requests;
            assert.equal(request?.method, 'GET');
            assert.equal(request.path, `/vms/${vm.uuid}`);
            assert.equal(String(request.query), `owner_uuid=${OWNER}`);
            assert.equal(request.headers['x-request-id'], 'a-request');
            assert.equal(request.headers.accept, 'application/json');
        });

        it('without an account for an operator', async () => {
            await start(machine());
            assert.equal(String(datacenter.vmapi.requests[0]?.query), '');
        });

        it('and takes none that is not there, or is not of the account', async () => {
            assert.equal(await refusal({ uuid: testUuid(404) }), NO_MACHINE);
            assert.equal(await refusal(machine(), { account: STRANGER }), NO_MACHINE);
        });

        for (const [what, behave] of Object.entries(spoilt)) {
            it(`and has none where it ${what}`, async () => {
                const vm = machine();
                datacenter.vmapi.spoil = behave;
                assert.equal(await refusal(vm), NO_MACHINE);
                assert.deepEqual(datacenter.cnapi.requests, []);
                const logged = domain.logged.find(({ msg }) => msg.startsWith('VMAPI did not give'));
                assert.equal(logged?.level, 40);
            });
        }

        it('which it cannot where the configuration has none', async () => {
            const { cnapi } = datacenter.config;
            await compute.close();
            compute = new Compute({ config: configOf({ cnapi }), serverName: 'x' });
            assert.equal(await refusal(machine()), '503 ServiceUnavailableError');
        });

        it('no longer than somebody waits for it', async () => {
            const vm = machine();
            const controller = new AbortController();
            const gone = new Error('gone');
            datacenter.vmapi.spoil = () => controller.abort(gone);
            await assert.rejects(start(vm, {}, controller.signal), (err) => err === gone);
            assert.equal(await domain.record(IMAGE), undefined);
        });
    });

    describe('asks CNAPI for its server', () => {
        it('with the request id', async () => {
            const vm = machine();
            await start(vm);
            const [request] = datacenter.cnapi.requests;
            assert.equal(`${request?.method} ${request?.path}`, `GET /servers/${vm.server_uuid}`);
            assert.equal(request?.headers['x-request-id'], 'a-request');
        });

        it('and cannot go on where it is not there, or VMAPI does not name it', async () => {
            assert.equal(await refusal(machine({ server_uuid: testUuid(404), docker: true })), INTERNAL);
            const { uuid } = datacenter.addVm({ owner_uuid: OWNER, image_uuid: ORIGIN });
            assert.equal(await refusal({ uuid }), INTERNAL);
        });

        for (const [what, behave] of Object.entries(spoilt)) {
            it(`and cannot go on where it ${what}`, async () => {
                const vm = machine();
                datacenter.cnapi.spoil = behave;
                assert.equal(await refusal(vm), INTERNAL);
            });
        }

        it('which it cannot where the configuration has none', async () => {
            const { vmapi } = datacenter.config;
            await compute.close();
            compute = new Compute({ config: configOf({ vmapi }), serverName: 'x' });
            assert.equal(await refusal(machine({ docker: true })), '503 ServiceUnavailableError');
        });
    });

    describe('is made on a recent platform only', () => {
        const node = (version: string | undefined, platform: string | undefined) => ({
            sdcVersion: version,
            platform,
        });
        it('by numbers, then by the stamp', () => {
            const least = ['7.0', '20130917T001310Z'] as const;
            for (const [version, stamp] of [
                ['7.0', '20130917T001310Z'],
                ['7.0', '20230126T011510Z'],
                ['7', '20130917T001311Z'],
                ['7.0.1', undefined],
                ['7.1', '20100101T000000Z'],
                ['10.0', '20100101T000000Z'],
            ]) {
                assert.equal(isOlder(node(version, stamp), least), false, `${version} ${stamp}`);
            }
            for (const [version, stamp] of [
                ['7.0', '20130917T001309Z'],
                ['7.0', undefined],
                ['6.5.9', '20230126T011510Z'],
                [undefined, '20230126T011510Z'],
                ['seven', '20230126T011510Z'],
                ['7.x', '20230126T011510Z'],
            ]) {
                assert.equal(isOlder(node(version, stamp), least), true, `${version} ${stamp}`);
            }
            assert.equal(isOlder(node(undefined, '20120101T000000Z'), ['6.5', '20120101T000000Z']), false);
            assert.equal(isOlder(node('7.0', 'x'), ['10.0', '']), true);
        });

        it('before anything of the machine counts', async () => {
            const old = { current_platform: '20130101T000000Z' };
            assert.equal(await refusal(machine({ docker: true }, old)), TOO_OLD);
            assert.equal(await refusal(machine({ docker: true }, { sysinfo: {} })), TOO_OLD);
            assert.equal(await refusal(machine({ docker: true }, { sysinfo: undefined as never })), TOO_OLD);
            config.minImageCreationPlatform = ['6.5', '20100101T000000Z'];
            await start(machine({}, { ...old, sysinfo: {} }));
        });
    });

    it('is not made of a Docker container, before its image is looked for', async () => {
        assert.equal(await refusal(machine({ docker: true, image_uuid: testUuid(404) })), NO_MACHINE);
    });

    describe('needs the image that the machine was made from', () => {
        it('which is that of its first disk with one, for bhyve and kvm', async () => {
            for (const brand of ['bhyve', 'kvm']) {
                const disks = [{ size: 1 }, { image_uuid: ORIGIN }, { image_uuid: testUuid(404) }];
                const vm = machine({ brand, image_uuid: testUuid(404), disks });
                await start(vm, { manifest: { owner: OWNER, name: 'x', version: '1' } });
                queued = [];
                assert.equal(await refusal(machine({ brand, disks: [{ size: 1 }] })), INTERNAL);
            }
        });

        it('and its own for every other brand', async () => {
            for (const brand of ['joyent', 'joyent-minimal', 'lx', 'other']) {
                const wrong = { brand, disks: [{ image_uuid: ORIGIN }] };
                const { uuid } = datacenter.addServer();
                const none = datacenter.addVm({ owner_uuid: OWNER, server_uuid: uuid, ...wrong });
                assert.equal(await refusal(none), INTERNAL);
            }
        });

        it('and it has to be here', async () => {
            const gone = machine({ image_uuid: testUuid(404) });
            assert.equal(await refusal(gone, { manifest: {} }), '404 ResourceNotFound');
            await domain.plant(active(3, { type: 'x' }));
            assert.equal(await refusal(machine({ image_uuid: testUuid(3) })), '404 ResourceNotFound');
        });
    });

    describe('needs a script that prepares the machine', () => {
        const of = async (fields: Partial<RawImage>): Promise<Vm> => {
            await domain.plant(active(3, fields));
            return machine({ image_uuid: testUuid(3) });
        };
        const NOT_AVAILABLE = '501 NotAvailable';

        it('which there is for smartos, linux, bsd and windows', async () => {
            for (const os of ['smartos', 'linux', 'bsd', 'windows']) {
                queued = [];
                await start(await of({ os }), { manifest: { owner: OWNER, name: 'x', version: '1' } });
                assert.ok(String(queued[0]?.params.prepare_image_script).length > 100, os);
            }
        });

        it('and there is none for others, before the owner counts', async () => {
            for (const os of ['illumos', 'other']) {
                assert.equal(await refusal(await of({ os }), { manifest: {} }), NOT_AVAILABLE);
            }
        });

        it('and none for Windows under KVM of before 2018-10-15', async () => {
            const windows = (publishedAt: string, brand: string) =>
                of({ os: 'windows', published_at: publishedAt, requirements: { brand } });
            assert.equal(await refusal(await windows('2018-10-14T23:59:59Z', 'kvm')), NOT_AVAILABLE);
            const manifest = { owner: OWNER, name: 'x', version: '1' };
            await start(await windows('2018-10-15T00:00:00Z', 'kvm'), { manifest });
            await start(await windows('2018-10-14T23:59:59Z', 'bhyve'), { manifest });
        });

        it('that can be read; it is read once', async () => {
            const folder = await mkdtemp(join(tmpdir(), 'imgapi-scripts-'));
            try {
                prepareScripts = new PrepareScriptFolder(folder);
                await mkdir(join(folder, 'bsd-prepare-image'));
                assert.equal(await refusal(await of({ os: 'bsd' }), { manifest: {} }), INTERNAL);
                assert.equal(await refusal(machine()), NOT_AVAILABLE);
                await writeFile(join(folder, 'smartos-prepare-image'), '#!/bin/bash\n');
                await start(machine());
                assert.equal(queued[0]?.params.prepare_image_script, '#!/bin/bash\n');
                await rm(join(folder, 'smartos-prepare-image'));
                assert.equal(await prepareScripts.get('smartos'), '#!/bin/bash\n');
                assert.equal(await prepareScripts.get('../bsd'), undefined);
            } finally {
                await rm(folder, { recursive: true });
            }
        });
    });

    describe('needs an owner', () => {
        it('that is given, and a uuid', async () => {
            const bad = { name: '', unknown: 1 };
            assert.equal(
                await refusal(machine(), { manifest: bad }),
                '422 ValidationFailed owner:MissingParameter',
            );
            for (const owner of ['*', null, 5, {}, 'ABCDEF00-0000-4000-8000-000000000000']) {
                const manifest = { ...bad, owner };
                assert.equal(await refusal(machine(), { manifest }), '422 ValidationFailed owner:Invalid');
            }
        });

        it('that exists, before the manifest counts', async () => {
            const manifest = { owner: STRANGER, name: '', unknown: 1 };
            assert.equal(await refusal(machine(), { manifest }), '422 OwnerDoesNotExist');
            directoryIsAway = true;
            assert.equal(await refusal(machine(), { manifest }), '503 ServiceUnavailableError');
        });
    });

    describe('needs a good manifest', () => {
        const manifest = { uuid: IMAGE, owner: OWNER, name: 'of-a-vm', version: '1' };
        const cases: [fields: Record<string, unknown>, expected: string][] = [
            [{ name: undefined, version: '' }, '422 ValidationFailed name:MissingParameter version:Invalid'],
            [{ uuid: 'x' }, '422 ValidationFailed uuid:Invalid'],
            [{ uuid: null }, '422 ValidationFailed uuid:Invalid'],
            [{ uuid: 5 }, '422 ValidationFailed uuid:Invalid'],
            [{ acl: 'x' }, '422 ValidationFailed acl:Invalid'],
            [{ name: '', unknown: 1, urn: 'a:b' }, '422 InvalidParameter unknown:Invalid urn:Invalid'],
            [{ published_at: '2020-01-01T00:00:00Z' }, '422 InvalidParameter published_at:Invalid'],
            [{ image_size: 10 }, '422 InvalidParameter image_size:Invalid'],
        ];
        for (const [fields, expected] of cases) {
            it(`and not one with ${JSON.stringify(fields)}`, async () => {
                // As JSON has it: what is undefined is not there.
                const given = JSON.parse(JSON.stringify({ ...manifest, ...fields })) as typeof manifest;
                assert.equal(await refusal(machine(), { manifest: given }), expected);
            });
        }

        it('whose tags are an object, also for LX', async () => {
            for (const tags of [null, 'x', ['a'], 5]) {
                const vm = machine({ brand: 'lx', kernel_version: '4.3.0' });
                assert.equal(
                    await refusal(vm, { manifest: { ...manifest, tags } }),
                    '422 ValidationFailed tags:Invalid',
                );
            }
        });
    });

    describe('has a uuid of its own', () => {
        it('that no other image has', async () => {
            await domain.plant(testImage(1));
            assert.equal(await refusal(machine()), '409 ImageUuidAlreadyExists');
            // What is wrong with the manifest comes first.
            const manifest = { uuid: IMAGE, owner: OWNER, name: '' };
            assert.match(await refusal(machine(), { manifest }), /^422 ValidationFailed name:/);
        });

        it('also when two ask for it at once', async () => {
            const vm = machine();
            const results = await Promise.allSettled(Array.from({ length: 8 }, () => start(vm)));
            const codes = results.map((one) =>
                one.status === 'fulfilled' ? 'started' : (one.reason as ApiError).code,
            );
            assert.deepEqual(codes.sort(), [...Array<string>(7).fill('ImageUuidAlreadyExists'), 'started']);
            assert.equal(queued.length, 1);
            assert.equal((await domain.record(IMAGE))?.state, 'creating');
        });
    });

    describe('begins as a placeholder', () => {
        it('with the fields of the body, no type and an end', async () => {
            const manifest = {
                uuid: IMAGE,
                owner: OWNER,
                name: 'of-a-vm',
                version: '1',
                type: 'zvol',
                os: 'linux',
                public: 'true',
                description: 'of mine',
                tags: { mine: true },
                origin: testUuid(404),
                files: [{ sha1: 'x' }],
                state: 'active',
                channels: ['release'],
                image_size: 10,
            };
            await start(machine(), { manifest });
            assert.deepEqual(await domain.record(IMAGE), {
                v: 2,
                uuid: IMAGE,
                owner: OWNER,
                name: 'of-a-vm',
                version: '1',
                type: 'null',
                os: 'null',
                state: 'creating',
                activated: false,
                disabled: false,
                public: true,
                acl: [],
                description: 'of mine',
                tags: ['mine=true'],
                tagsObj: { mine: true },
                origin: testUuid(404),
                expires_at: new Date(domain.now + 7 * DAY).toISOString(),
            });
            const archived = (await domain.images.get(IMAGE))?.render({ channels: true, adminFields: false });
            const served = JSON.parse(String(archived?.body)) as Record<string, unknown>;
            assert.deepEqual([served.state, served.files, served.type], ['creating', [], undefined]);
        });

        it('for as long as is configured', async () => {
            config.placeholderImageLifespanDays = 0.5;
            await start(machine());
            const expires = (await domain.record(IMAGE))?.expires_at;
            assert.equal(expires, new Date(domain.now + DAY / 2).toISOString());
        });

        it('with the kernel version of LX as a tag', async () => {
            const manifest = { uuid: IMAGE, owner: OWNER, name: 'x', version: '1' };
            const lx = { brand: 'lx', kernel_version: '4.3.0' };
            const own = { ...manifest, tags: { kernel_version: 'mine', __proto__: 1 } };
            await start(machine(lx), { manifest: own });
            assert.deepEqual((await domain.record(IMAGE))?.tags, ['kernel_version=4.3.0']);
            const started = await start(machine(lx), { manifest: { ...manifest, uuid: testUuid(5) } });
            assert.deepEqual((await domain.record(started.imageUuid))?.tagsObj, { kernel_version: '4.3.0' });
            const tags = queued.map(({ params }) => (params.manifest as { tags?: unknown }).tags);
            assert.deepEqual(tags, [{ kernel_version: '4.3.0' }, { kernel_version: '4.3.0' }]);
            const zone = await start(machine({ kernel_version: '4.3.0' }), {
                manifest: { ...manifest, uuid: testUuid(6) },
            });
            assert.equal((await domain.record(zone.imageUuid))?.tagsObj, undefined);
        });
    });

    describe('has a job', () => {
        it('that is told everything', async () => {
            const vm = machine();
            const manifest = { uuid: IMAGE, owner: OWNER, name: 'x', version: '1', channels: ['a'], v: 2 };
            assert.deepEqual(await start(vm, { manifest, incremental: true, maxOriginDepth: 3 }), {
                imageUuid: IMAGE,
                jobUuid: testUuid(77),
            });
            const script = await prepareScripts.get('smartos');
            assert.deepEqual(queued, [
                {
                    task: 'create-from-vm',
                    imageUuid: IMAGE,
                    target: `/create-from-vm-${vm.uuid}`,
                    params: {
                        image_uuid: IMAGE,
                        vm_uuid: vm.uuid,
                        owner_uuid: OWNER,
                        compression: 'gzip',
                        incremental: true,
                        prepare_image_script: script,
                        max_origin_depth: 3,
                        manifest: { uuid: IMAGE, owner: OWNER, name: 'x', version: '1', v: 2 },
                        req_id: 'a-request',
                    },
                },
            ]);
        });

        it('with a uuid made here, and the depth only if it was given', async () => {
            const manifest = { owner: OWNER, name: 'x', version: '1' };
            const { imageUuid } = await start(machine(), { manifest });
            const { params } = queued[0]!;
            assert.deepEqual(params.manifest, { ...manifest, uuid: imageUuid });
            assert.equal('max_origin_depth' in params, false);
        });

        it('without which the placeholder goes, and the error is told as it is', async () => {
            const failure = new ApiError('ServiceUnavailableError', 'no workflow');
            beforeJob = async () => {
                assert.equal((await domain.record(IMAGE))?.state, 'creating');
                throw failure;
            };
            await assert.rejects(start(machine()), (err) => err === failure);
            assert.equal(await domain.record(IMAGE), undefined);
            // The uuid is free for another try.
            beforeJob = () => undefined;
            await start(machine());
        });

        it('or stays, if it is somebody else’s by now', async () => {
            const changes: ((raw: RawImage) => Promise<unknown>)[] = [
                (raw) => domain.plant({ ...raw, description: 'changed' }),
                () => domain.plant(testImage(1)),
                () => forget(IMAGE),
            ];
            for (const change of changes) {
                let changed: RawImage | undefined;
                beforeJob = async () => {
                    await change((await domain.record(IMAGE))!);
                    changed = await domain.record(IMAGE);
                    throw new ApiError('ServiceUnavailableError', 'no workflow');
                };
                await assert.rejects(start(machine()), ApiError);
                assert.deepEqual(await domain.record(IMAGE), changed);
                await forget(IMAGE);
            }
            assert.deepEqual(domain.logged, []);
        });

        it('or stays until it expires, if it cannot be deleted', async () => {
            beforeJob = async () => {
                await domain.plant(testImage(9, { origin: IMAGE }));
                throw new ApiError('ServiceUnavailableError', 'no workflow');
            };
            await assert.rejects(start(machine()), /no workflow/);
            assert.equal((await domain.record(IMAGE))?.state, 'creating');
            assert.deepEqual(
                domain.logged.map(({ level, image_uuid }) => ({ level, image_uuid })),
                [{ level: 40, image_uuid: IMAGE }],
            );
        });
    });
});
