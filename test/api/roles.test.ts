/**
 * Every operation by users of every role, with and without limits to channels, on servers of every mode, with and
 * without signed reads: what is answered follows from a model of the contract (test/support/operations.ts).
 */
import assert from 'node:assert/strict';
import { errorRow } from '../../lib/errors';
import { routes } from '../../lib/routes';
import { assertError, at, FILE, UNKNOWN } from '../support/api';
import { ask, assertOutcome, casesOf, describeCase, expected, plantCases, type Ask } from '../support/cases';
import { DEFAULT_CHANNEL, OTHER_CHANNEL } from '../support/channels';
import { OPERATIONS, type Outcome } from '../support/operations';
import { Registry } from '../support/registry';
import { routesOf } from '../support/routes';
import {
    configOf,
    kinds,
    nameOf,
    OPERATOR,
    startSetting,
    userOf,
    usersOf,
    type Caller,
    type Kind,
    type Setting,
} from '../support/settings';

const ANONYMOUS: Caller = { name: 'an anonymous caller', signed: false };
const READER: Caller = { name: 'a reader', signed: true, grant: { role: 'read' } };
const WRITER: Caller = { name: 'a writer', signed: true, grant: { role: 'write' } };
const ADMIN: Caller = { name: 'an admin', signed: true, grant: { role: 'admin' } };
const limitedTo = (role: 'read' | 'write' | 'admin', ...channels: string[]): Caller => ({
    name: `${role} in ${channels.join(' and ')}`,
    signed: true,
    grant: { role, channels },
});
const INSIDE = limitedTo('write', DEFAULT_CHANNEL);
const OUTSIDE = limitedTo('write', OTHER_CHANNEL);
const OTHERS_LIMITED = [
    limitedTo('read', DEFAULT_CHANNEL),
    limitedTo('admin', DEFAULT_CHANNEL),
    limitedTo('read', OTHER_CHANNEL),
    limitedTo('admin', OTHER_CHANNEL),
    limitedTo('admin', DEFAULT_CHANNEL, OTHER_CHANNEL),
];
const CALLERS = [ANONYMOUS, OPERATOR, READER, WRITER, ADMIN, INSIDE, OUTSIDE];

/** Everybody in the default channel. */
const IN_DEFAULT: readonly Ask[] = CALLERS.map((caller) => ({ caller }));
/** And those for whom channels matter in all of them, about images in one and in both. */
const IN_ALL: readonly Ask[] = [
    ...IN_DEFAULT,
    ...OTHERS_LIMITED.map((caller) => ({ caller })),
    ...[INSIDE, OUTSIDE, ...OTHERS_LIMITED].flatMap((caller) => [
        { caller, isWide: true },
        { caller, isWide: true, channel: OTHER_CHANNEL },
        { caller, isWide: true, channel: '*' },
    ]),
];

/** Limits to channels go by what strangers see, so they are tried out where there is most that those do not. */
const SERVERS: readonly { setting: Setting; asks: readonly Ask[] }[] = [
    { setting: { mode: 'public', channels: true }, asks: IN_DEFAULT },
    { setting: { mode: 'private', channels: true, signedReads: true }, asks: IN_DEFAULT },
    { setting: { mode: 'private', channels: true, hides: true }, asks: IN_ALL },
    { setting: { mode: 'dc', channels: true, signs: true }, asks: IN_DEFAULT },
    { setting: { mode: 'dc', channels: true, signs: true, hides: true }, asks: IN_ALL },
];

/** No caller here asks for an account, so it does not matter whom an active image is shared with. */
const kindsOf = (setting: Setting): Kind[] => kinds(setting).slice(-2);

/** The configuration of a server of the setting that knows all callers. */
function serverOf(setting: Setting) {
    const { authKeys, roles } = usersOf([...CALLERS, ...OTHERS_LIMITED]);
    const config = configOf(setting);
    return { ...config, authKeys, auth: { ...config.auth, roles } };
}

const statusOf = (outcome: Outcome): number =>
    typeof outcome === 'number' ? outcome : errorRow(outcome[0]).status;

describe('Every operation by role', () => {
    for (const { setting, asks } of SERVERS) {
        describe(nameOf(setting), () => {
            let registry: Registry;
            let stop: (() => Promise<void>) | undefined;
            const config = serverOf(setting);
            const cases = casesOf(setting, asks, kindsOf(setting));
            const existing = routesOf(config);

            before(async function () {
                ({ registry, stop } = await startSetting(setting, this, config));
            });
            after(() => stop?.());

            for (const { name, method } of routes) {
                const operation = OPERATIONS[name];
                it(name, async () => {
                    const own = cases.filter(({ row }) => row.name === name);
                    // Not all at once before: lists would have thousands of images.
                    await plantCases(registry, own);
                    await Promise.all(
                        own.map(async (one) => {
                            const outcome = expected(one, existing);
                            assertOutcome(one, await ask(registry, one), outcome);
                            if (method === 'GET' && (operation?.isRead || operation?.role)) {
                                const head = await ask(registry, one, 'HEAD');
                                assert.equal(head.status, statusOf(outcome), describeCase(one));
                            }
                        }),
                    );
                });
            }
        });
    }
});

describe('Roles are judged', () => {
    let registry: Registry;

    before(async () => {
        const { authKeys, roles } = usersOf([WRITER, ADMIN]);
        registry = await Registry.start({ authKeys, auth: { roles } });
    });
    after(() => registry.stop());

    it('by parameters too: the source of a file or an icon imports it', () => {
        const found = routes.flatMap(({ name, parameters }) =>
            parameters.flatMap((one) => (one.role ? [`${name} ${one.name}: ${one.role}`] : [])),
        );
        assert.deepEqual(found, ['AddImageFile source: admin', 'AddImageIcon source: admin']);
    });

    it('by a parameter in every form, before it is looked at; an empty one is none', async () => {
        const { uuid } = await registry.client.create();
        const put = (caller: Caller, query: string) =>
            registry.as(userOf(caller)).put(at(uuid, `/file?compression=none&${query}`), FILE);
        for (const query of ['source=http://127.0.0.1:1', 'sourc%65=x', 'source=x&source=y', 'source=%20']) {
            const answer = await put(WRITER, query);
            assertError(answer, 403, 'NotAuthorized');
            assert.match(answer.error.message, /"a-writer".*"write".*AddImageFile.*"source".*"admin"/);
        }
        assertError(await put(ADMIN, 'source=x'), 422, 'InvalidParameter', 'source:Invalid');
        assertError(await put(WRITER, 'source[]=x'), 422, 'InvalidParameter', 'source:Invalid');
        assert.equal((await put(WRITER, 'source=')).status, 200);
    });

    it('by the action, however it is written', async () => {
        const writer = registry.as(userOf(WRITER));
        for (const query of [
            'action=import',
            'action=%69mport',
            'x=1&action=import&y',
            'account=x&action=import-remote',
        ]) {
            const answer = await writer.post(at(UNKNOWN, `?${query}`), {});
            assertError(answer, 403, 'NotAuthorized');
        }
        // Nobody takes these for an import.
        for (const query of [
            'action=import&action=update',
            'action[]=import',
            'ACTION=import',
            'action=Import',
            'action=import%00',
        ]) {
            const answer = await writer.post(at(UNKNOWN, `?${query}`), { action: 'import' });
            assert.ok([404, 422].includes(answer.status), `${query}: ${answer.text}`);
        }
        assert.equal(await registry.record(UNKNOWN), undefined);
    });
});

describe('Roles where nobody is asked', () => {
    it('have no effect', async () => {
        const { authKeys, roles } = usersOf([READER]);
        const registry = await Registry.start({ authType: 'none', authKeys, auth: { roles } });
        try {
            for (const client of [registry.anonymous, registry.as(userOf(READER))]) {
                const { uuid } = await client.createActive();
                assert.equal((await client.get('/state')).status, 200);
                assert.equal((await client.delete(at(uuid))).status, 204);
            }
            const page = (await registry.anonymous.get('/docs/endpoints.html')).text;
            assert.doesNotMatch(page, /NotAuthorized|the role/);
        } finally {
            await registry.stop();
        }
    });
});
