/** Requests to every operation by every kind of caller, and what the model of the contract says of each. */
import assert from 'node:assert/strict';
import type { Route } from '../../lib/api/route';
import { errorRow } from '../../lib/errors';
import type { RawImage } from '../../lib/manifest';
import { routes } from '../../lib/routes';
import { assertError, FILE, ICON, UNKNOWN, type Answer, type Client } from './api';
import { DEFAULT_CHANNEL, OTHER_CHANNEL } from './channels';
import { OPERATIONS, predict, type Operation, type Outcome, type Situation } from './operations';
import type { Registry } from './registry';
import { kinds, makeImage, userOf, type Caller, type Kind, type Setting } from './settings';

export interface Case extends Situation {
    readonly row: Route;
    readonly operation: Operation;
    readonly image: RawImage;
}

/** Whether the path names an image that has to be there. */
const isAboutImage = ({ access }: Operation): boolean =>
    ['reader', 'operator-reader', 'owner'].includes(access);

/** Who asks for what: a caller, and in which channel, about an image in how many. */
export type Ask = Pick<Situation, 'caller' | 'channel' | 'isWide'>;

/**
 * Every operation, asked for in all of these ways, as far as they differ for it, about every one of these kinds of image.
 * What changes an image has one of its own.
 */
export function casesOf(
    setting: Setting,
    asks: readonly Ask[],
    about: readonly Kind[] = kinds(setting),
): Case[] {
    let n = 100;
    return routes.flatMap((row) => {
        const operation = OPERATIONS[row.name];
        if (!operation) {
            return [];
        }
        const isAbout = isAboutImage(operation);
        const differing = asks.filter(
            ({ channel, isWide }) =>
                (isAbout || !isWide || channel !== undefined) &&
                (operation.channel !== 'ignored' || (channel === undefined && !isWide)),
        );
        return about.slice(0, isAbout ? undefined : 1).flatMap((kind) =>
            differing.map((ask) => ({
                ...ask,
                setting,
                kind,
                row,
                operation,
                image: makeImage(n++, setting, kind, {
                    ...(ask.isWide && { channels: [DEFAULT_CHANNEL, OTHER_CHANNEL] }),
                }),
            })),
        );
    });
}

/** Puts the images of the cases, and what is stored of them, into a server. */
export async function plantCases(registry: Registry, cases: readonly Case[]): Promise<void> {
    const planted = cases.filter(({ operation }) => isAboutImage(operation) || operation.isRead);
    if (planted.length === 0) {
        return;
    }
    await registry.plant(...planted.map(({ image }) => image));
    await Promise.all(
        planted
            .filter(({ row }) => row.answers === 'bytes' || row.name === 'CloneImage')
            .flatMap(({ image: { uuid } }) => [
                registry.plantObject(uuid, 'file0', FILE),
                registry.plantObject(uuid, 'icon', ICON),
            ]),
    );
}

function clientOf(registry: Registry, caller: Caller): Client {
    if (!caller.signed) {
        return registry.anonymous;
    }
    return registry.as(caller.grant ? userOf(caller) : 'alice');
}

/** Sends the request of a case. */
export function ask(registry: Registry, one: Case, method: string = one.row.method): Promise<Answer> {
    const { row, operation, image, caller, channel, setting } = one;
    const action = row.actions?.[0] ?? '';
    const query = [
        action === '' ? undefined : `action=${action}`,
        operation.query,
        caller.account && `account=${caller.account}`,
        channel && `channel=${channel}`,
    ].filter((part) => part !== undefined);
    const path = row.path.replace(':uuid', image.uuid).replace(/:\w+/, UNKNOWN);
    const { body } = operation;
    const content = typeof body === 'function' ? JSON.stringify(body(image.uuid, setting)) : (body ?? '{}');
    const type = operation.contentType ?? 'application/json';
    return clientOf(registry, caller).request(
        method,
        [path, ...(query.length > 0 ? [query.join('&')] : [])].join('?'),
        { ...(row.body !== undefined && { headers: { 'content-type': type }, body: content }) },
    );
}

/** The answer that the model gives for a case. @param existing the rows that the server has */
export function expected({ row, operation, ...situation }: Case, existing: readonly Route[]): Outcome {
    return existing.some(({ name }) => name === row.name)
        ? predict(operation, situation)
        : withoutRow(row, existing, situation);
}

/** What a server answers that does not have the row: another row may take its requests, or the path or method is unknown. */
function withoutRow(row: Route, existing: readonly Route[], situation: Situation): Outcome {
    const same = existing.filter(({ path }) => path === row.path);
    const rest = same.find(({ method, actions }) => method === row.method && !actions);
    const operation = rest && OPERATIONS[rest.name];
    if (operation) {
        return predict(operation, situation);
    }
    return [same.length > 0 ? 'MethodNotAllowedError' : 'ResourceNotFound'];
}

/** The answer to a case is the one that was foretold. */
export function assertOutcome(one: Case, answer: Answer, outcome: Outcome): void {
    try {
        if (typeof outcome === 'number') {
            assert.equal(answer.status, outcome, answer.text);
            return;
        }
        const [code, ...fields] = outcome;
        assertError(answer, errorRow(code).status, code, ...fields);
    } catch (err) {
        throw new Error(`${describeCase(one)}: ${(err as Error).message}`, { cause: err });
    }
}

export function describeCase({ caller, kind, channel, image }: Case): string {
    const where = `${image.uuid}${image.channels ? ` in ${image.channels.join()}` : ''}`;
    return `${caller.name}, image ${kind} ${where}${channel === undefined ? '' : `, channel ${channel}`}`;
}
