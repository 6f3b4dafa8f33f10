/**
 * Every operation on every kind of server (public, private, dc; without and with channels) for every kind of caller:
 * what is answered follows from a model of the contract (test/support/operations.ts), not from what was seen once.
 */
import assert from 'node:assert/strict';
import { routes } from '../../lib/routes';
import { ask, assertOutcome, casesOf, expected, plantCases, type Ask } from '../support/cases';
import { DEFAULT_CHANNEL, OTHER_CHANNEL } from '../support/channels';
import { OPERATIONS } from '../support/operations';
import type { Registry } from '../support/registry';
import { routesOf } from '../support/routes';
import { CALLERS, configOf, nameOf, OPERATOR, SETTINGS, startSetting } from '../support/settings';

/** Asked for by an operator on top of what all callers do: other channels, all of them, one that there is not. */
const CHANNEL_CASES = [DEFAULT_CHANNEL, OTHER_CHANNEL, '*', 'nosuch'];

const ASKS: readonly Ask[] = [
    ...CALLERS.map((caller) => ({ caller })),
    ...CHANNEL_CASES.map((channel) => ({ caller: OPERATOR, channel })),
];

describe('Every operation', () => {
    it('has its place in the model', () => {
        const missing = routes.map(({ name }) => name).filter((name) => !(name in OPERATIONS));
        assert.deepEqual(
            missing,
            [],
            'Add these rows to OPERATIONS of test/support/operations.ts: who may call it by the contract (role, access), ' +
                'a right request (query, body), what that is answered with (outcome), and the servers that have it (only).',
        );
        const gone = Object.keys(OPERATIONS).filter((name) => !routes.some((row) => row.name === name));
        assert.deepEqual(gone, [], 'These are no rows of the table any more.');
    });

    for (const setting of SETTINGS) {
        describe(nameOf(setting), () => {
            let registry: Registry;
            let stop: (() => Promise<void>) | undefined;
            const cases = casesOf(setting, ASKS);
            const existing = routesOf(configOf(setting));

            before(async function () {
                ({ registry, stop } = await startSetting(setting, this));
                await plantCases(registry, cases);
            });
            after(() => stop?.());

            for (const { name } of routes.filter((row) => row.name in OPERATIONS)) {
                it(name, async () => {
                    const isHere = OPERATIONS[name]?.only?.(setting) ?? true;
                    assert.equal(
                        existing.some((row) => row.name === name),
                        isHere,
                        'the table knows which servers have it',
                    );
                    await Promise.all(
                        cases
                            .filter(({ row }) => row.name === name)
                            .map(async (one) =>
                                assertOutcome(one, await ask(registry, one), expected(one, existing)),
                            ),
                    );
                });
            }
        });
    }
});
