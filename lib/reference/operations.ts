/** The route table as callers see it: rows that share a method and a path are one operation with several actions. */
import type { Parameter, Route } from '../api/route';
import { errorRow, type ErrorCode } from '../errors';

/** Codes that any request may be answered with, whatever its route. */
export const ON_EVERY_ROUTE: readonly ErrorCode[] = [
    'BadRequestError',
    'InvalidVersion',
    'RequestTimeout',
    'RequestHeaderFieldsTooLarge',
    'InternalError',
];

export interface Operation {
    /** Of the row that does something; of the general row if several do. */
    name: string;
    method: Route['method'];
    path: string;
    rows: readonly Route[];
    parameters: readonly Parameter[];
}

export function operationsOf(routes: readonly Route[]): Operation[] {
    const groups = new Map<string, Route[]>();
    for (const route of routes) {
        const key = `${route.method} ${route.path}`;
        groups.set(key, [...(groups.get(key) ?? []), route]);
    }
    return [...groups.values()].map((rows) => {
        const [first] = rows;
        if (!first) {
            throw new TypeError('There is no group without a row.');
        }
        const actions = rows.filter(({ actions: values }) => values !== undefined);
        const main = (actions.length === 1 ? actions[0] : rows.find((row) => !row.actions)) ?? first;
        return {
            name: main.name,
            method: main.method,
            path: main.path,
            rows,
            parameters: unique(rows.flatMap(({ parameters }) => parameters)),
        };
    });
}

/** Parameters by name; the first description counts. */
function unique(parameters: readonly Parameter[]): Parameter[] {
    const byName = new Map<string, Parameter>();
    for (const parameter of parameters) {
        if (!byName.has(parameter.name)) {
            byName.set(parameter.name, parameter);
        }
    }
    return [...byName.values()];
}

/** The codes of a route beyond those of every route, by status and then by name. */
export function errorsOf(route: Route): ErrorCode[] {
    const negotiated: ErrorCode[] = route.answers === 'json' ? ['NotAcceptable'] : [];
    return sorted([...route.errors, ...negotiated]);
}

export function sorted(codes: Iterable<ErrorCode>): ErrorCode[] {
    return [...new Set(codes)].sort((a, b) => errorRow(a).status - errorRow(b).status || (a < b ? -1 : 1));
}

/** The value of `action` that selects a row; '' for none, undefined for any that no other row has. */
export function actionOf({ actions }: Route): string | undefined {
    return actions && (actions.find((value) => value !== '') ?? '');
}

/** Whether a successful answer has bytes of which a part may be asked for. */
export function takesRanges({ errors }: Route): boolean {
    return errors.includes('RequestedRangeNotSatisfiable');
}

/** Whether the request's conditions may make it a 304. */
export function mayBeUnchanged({ method, errors }: Route): boolean {
    return method === 'GET' && errors.includes('PreconditionFailed');
}

export function successStatus({ status, answers }: Route): number {
    return status ?? (answers === 'nothing' ? 204 : 200);
}

export const AUTH_TEXT = {
    strict: 'A signed request.',
    passive: 'None; a signature that is there is checked.',
    none: 'None; an `Authorization` header is not looked at.',
} as const satisfies Record<Route['auth'], string>;

/** Codes with the status they have in common, by status. */
export function byStatus(codes: Iterable<ErrorCode>): [status: number, codes: ErrorCode[]][] {
    const groups = new Map<number, ErrorCode[]>();
    for (const code of sorted(codes)) {
        const { status } = errorRow(code);
        groups.set(status, [...(groups.get(status) ?? []), code]);
    }
    return [...groups];
}
