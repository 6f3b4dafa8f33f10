/**
 * Every operation on every kind of server (public, private, dc; without and with channels) for every kind of caller:
 * what is answered follows from a model of the contract (test/support/operations.ts), not from what was seen once.
 */
import assert from 'node:assert/strict';
import type { Route } from '../../lib/api/route';
import { errorRow } from '../../lib/errors';
import type { RawImage } from '../../lib/manifest';
import { existingRoutes, routes } from '../../lib/routes';
import { assertError, FILE, ICON, UNKNOWN, type Answer } from '../support/api';
import { CHANNELS, DEFAULT_CHANNEL, OTHER_CHANNEL } from '../support/channels';
import { OPERATIONS, predict, type Operation, type Outcome, type Situation } from '../support/operations';
import type { Registry } from '../support/registry';
import {
    CALLERS,
    kinds,
    makeImage,
    nameOf,
    SETTINGS,
    startSetting,
    type Caller,
    type Setting,
} from '../support/settings';

/** Asked for by an operator on top of what all callers do: other channels, all of them, one that there is not. */
const CHANNEL_CASES = [DEFAULT_CHANNEL, OTHER_CHANNEL, '*', 'nosuch'];

interface Case extends Situation {
    readonly row: Route;
    readonly operation: Operation;
    readonly image: RawImage;
}

/** All cases of a server; what changes an image gets one of its own. */
function allCases(setting: Setting): Case[] {
    let n = 100;
    return routes.flatMap((row) => {
        const operation = OPERATIONS[row.name];
        if (!operation) {
            return [];
        }
        const [operator] = CALLERS.filter(({ signed, account }) => signed && account === undefined) as [
            Caller,
        ];
        const isAboutImage = ['reader', 'operator-reader', 'owner'].includes(operation.access);
        const situations: Situation[] = kinds(setting)
            .slice(0, isAboutImage ? undefined : 1)
            .flatMap((kind) => [
                ...CALLERS.map((caller) => ({ setting, caller, kind })),
                ...CHANNEL_CASES.map((channel) => ({ setting, caller: operator, kind, channel })),
            ]);
        return situations.map((situation) => ({
            ...situation,
            row,
            operation,
            image: makeImage(n++, setting, situation.kind),
        }));
    });
}

function describeCase({ caller, kind, channel, image }: Case): string {
    return `${caller.name}, image ${kind} ${image.uuid}${channel === undefined ? '' : `, channel ${channel}`}`;
}

function assertOutcome(answer: Answer, outcome: Outcome): void {
    if (typeof outcome === 'number') {
        assert.equal(answer.status, outcome, answer.text);
        return;
    }
    const [code, ...fields] = outcome;
    assertError(answer, errorRow(code).status, code, ...fields);
}

/** What a server answers that does not have the row: another row may take its requests, or the path or method is unknown. */
function withoutRow(row: Route, existing: readonly Route[], situation: Situation): Outcome {
    const same = existing.filter(({ path }) => path === row.path);
    const rest = same.find(({ method, actions }) => method === row.method && !actions);
    const operation = rest && OPERATIONS[rest.name];
    if (operation) {
        return predict(operation, rest.auth, situation);
    }
    return [same.length > 0 ? 'MethodNotAllowedError' : 'ResourceNotFound'];
}

describe('Every operation', () => {
    it('has its place in the model', () => {
        const missing = routes.map(({ name }) => name).filter((name) => !(name in OPERATIONS));
        assert.deepEqual(
            missing,
            [],
            'Add these rows to OPERATIONS of test/support/operations.ts: who may call it by the contract (access), ' +
                'a right request (query, body), what that is answered with (outcome), and the servers that have it (only).',
        );
        const gone = Object.keys(OPERATIONS).filter((name) => !routes.some((row) => row.name === name));
        assert.deepEqual(gone, [], 'These are no rows of the table any more.');
    });

    for (const setting of SETTINGS) {
        describe(nameOf(setting), () => {
            let registry: Registry;
            let stop: (() => Promise<void>) | undefined;
            const cases = allCases(setting);
            const existing = existingRoutes({
                mode: setting.mode,
                channels: setting.channels ? CHANNELS : undefined,
            });

            before(async function () {
                ({ registry, stop } = await startSetting(setting, this));
                const planted = cases.filter(({ operation }) => operation.image !== 'new');
                await registry.plant(...planted.map(({ image }) => image));
                await Promise.all(
                    planted
                        .filter(({ row }) => row.answers === 'bytes' || row.name === 'CloneImage')
                        .flatMap(({ image: { uuid } }) => [
                            registry.plantObject(uuid, 'file0', FILE),
                            registry.plantObject(uuid, 'icon', ICON),
                        ]),
                );
            });
            after(() => stop?.());

            function ask({ row, operation, image, caller, channel }: Case): Promise<Answer> {
                const action = row.actions?.[0] ?? '';
                const query = [
                    action === '' ? undefined : `action=${action}`,
                    operation.query,
                    caller.account && `account=${caller.account}`,
                    channel && `channel=${channel}`,
                ].filter((part) => part !== undefined);
                const path = row.path.replace(':uuid', image.uuid).replace(/:\w+/, UNKNOWN);
                const { body } = operation;
                const content =
                    typeof body === 'function' ? JSON.stringify(body(image.uuid, setting)) : (body ?? '{}');
                const type = operation.contentType ?? 'application/json';
                const client = caller.signed ? registry.client : registry.anonymous;
                return client.request(
                    row.method,
                    [path, ...(query.length > 0 ? [query.join('&')] : [])].join('?'),
                    {
                        ...(row.body !== undefined && { headers: { 'content-type': type }, body: content }),
                    },
                );
            }

            for (const row of routes.filter(({ name }) => name in OPERATIONS)) {
                it(row.name, async () => {
                    const own = cases.filter((one) => one.row === row);
                    const isHere = OPERATIONS[row.name]?.only?.(setting) ?? true;
                    assert.equal(existing.includes(row), isHere, 'the table knows which servers have it');
                    await Promise.all(
                        own.map(async (one) => {
                            const answer = await ask(one);
                            const expected = isHere
                                ? predict(one.operation, row.auth, one)
                                : withoutRow(row, existing, one);
                            try {
                                assertOutcome(answer, expected);
                            } catch (err) {
                                const message = `${describeCase(one)}: ${(err as Error).message}`;
                                throw new Error(message, { cause: err });
                            }
                        }),
                    );
                });
            }
        });
    }
});
