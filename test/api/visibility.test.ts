/** What each caller sees of the images on each kind of server (endpoints.md §2 and §3 ListImages, manifest.md §5). */
import assert from 'node:assert/strict';
import { assertError, at, OWNER } from '../support/api';
import { DEFAULT_CHANNEL, OTHER_CHANNEL } from '../support/channels';
import type { Registry } from '../support/registry';
import {
    CALLERS,
    kinds,
    makeImage,
    mayRead,
    nameOf,
    SETTINGS,
    startSetting,
    type Caller,
    type Setting,
} from '../support/settings';

/** Images of every kind, disabled and not, in both channels. */
function makeImages(setting: Setting) {
    let n = 0;
    return kinds(setting).flatMap((kind) =>
        [DEFAULT_CHANNEL, OTHER_CHANNEL].flatMap((channel) =>
            [false, true].map((disabled) => ({
                kind,
                channel,
                disabled,
                raw: makeImage(n++, setting, kind, {
                    ...(disabled && { disabled, ...(kind !== 'draft' && { state: 'disabled' }) }),
                    ...(setting.channels && { channels: [channel] }),
                }),
            })),
        ),
    );
}
type TestImage = ReturnType<typeof makeImages>[number];

const STATES: Readonly<Record<string, (image: TestImage) => boolean>> = {
    '': ({ kind, disabled }) => kind !== 'draft' && !disabled,
    active: ({ kind, disabled }) => kind !== 'draft' && !disabled,
    disabled: ({ kind, disabled }) => kind !== 'draft' && disabled,
    unactivated: ({ kind }) => kind === 'draft',
    all: () => true,
};

/** Who is not signed in sees the active images only, but for a datacenter. */
const isLimited = ({ mode }: Setting, { signed }: Caller): boolean => mode !== 'dc' && !signed;

/** Whether ListImages with this state gives the image to the caller. */
function isListed(image: TestImage, setting: Setting, caller: Caller, state: string): boolean {
    const { account } = caller;
    if (isLimited(setting, caller) && !['', 'active', 'all'].includes(state)) {
        return false;
    }
    // Of the disabled images of others an account sees those among all, but not by themselves.
    if (state === 'disabled' && account !== undefined && account !== OWNER) {
        return false;
    }
    const asked = isLimited(setting, caller) ? 'active' : state;
    return STATES[asked]?.(image) === true && mayRead(account, image.kind);
}

describe('What is seen', () => {
    for (const setting of SETTINGS) {
        describe(`in ${nameOf(setting)}`, () => {
            let registry: Registry;
            let stop: (() => Promise<void>) | undefined;
            const images = makeImages(setting);
            const [
                {
                    raw: { uuid },
                },
            ] = images as [TestImage];

            before(async function () {
                ({ registry, stop } = await startSetting(setting, this));
                await registry.plant(...images.map(({ raw }) => raw));
            });
            after(() => stop?.());

            const clientOf = ({ signed }: Caller) => (signed ? registry.client : registry.anonymous);
            /** Whether the image is in what a request with this parameter works in. */
            const isIn = ({ channel }: TestImage, asked: string | undefined) =>
                !setting.channels || asked === '*' || channel === (asked ?? DEFAULT_CHANNEL);
            const query = (parts: Record<string, string | undefined>) =>
                `?${Object.entries(parts)
                    .filter(([, value]) => value !== undefined && value !== '')
                    .map(([name, value]) => `${name}=${value}`)
                    .join('&')}`;

            for (const caller of CALLERS) {
                const { account } = caller;

                it(`by ${caller.name} in lists`, async () => {
                    for (const state of Object.keys(STATES)) {
                        for (const channel of [undefined, DEFAULT_CHANNEL, OTHER_CHANNEL, '*']) {
                            const path = `/images${query({ state, channel, account })}`;
                            const expected = images
                                .filter((one) => isIn(one, channel) && isListed(one, setting, caller, state))
                                .map(({ raw }) => raw.uuid);
                            assert.deepEqual((await clientOf(caller).get(path)).uuids, expected, path);
                        }
                    }
                });

                it(`by ${caller.name} by its uuid`, async () => {
                    for (const one of images) {
                        for (const channel of [undefined, OTHER_CHANNEL, '*']) {
                            const path = at(one.raw.uuid, query({ channel, account }));
                            const answer = await clientOf(caller).get(path);
                            if (account === 'me') {
                                assertError(answer, 422, 'InvalidParameter', 'account:Invalid');
                            } else if (isIn(one, channel) && mayRead(account, one.kind)) {
                                assert.equal(answer.manifest.uuid, one.raw.uuid);
                            } else {
                                assertError(answer, 404, 'ResourceNotFound');
                            }
                        }
                    }
                });
            }

            it('of the fields for operators: by who is signed in, in a datacenter by all', async () => {
                for (const client of [registry.client, registry.anonymous]) {
                    for (const path of ['/images?', at(uuid, '?')]) {
                        const answer = await client.get(`${path}inclAdminFields=true`);
                        if (setting.mode !== 'dc' && client === registry.anonymous) {
                            assertError(answer, 401, 'UnauthorizedError');
                        } else {
                            assert.match(answer.text, /"stor": "local"/);
                        }
                        assert.doesNotMatch((await client.get(path)).text, /"stor"/);
                    }
                }
            });

            it('of channels: by those who take version 2', async () => {
                for (const path of ['/images', at(uuid)]) {
                    const two = await registry.client.get(path, { 'accept-version': '~2' });
                    assert.equal(two.text.includes('"channels"'), setting.channels);
                    assert.doesNotMatch((await registry.client.get(path)).text, /"channels"/);
                }
            });
        });
    }
});
