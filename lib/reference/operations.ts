/** The route table as callers see it: rows that share a method and a path are one operation with several actions. */
import type { AnswerHeader, Parameter, Route } from '../api/route';
import { ROLES } from '../config/auth';
import type { Role } from '../config/types';
import { errorRow, type ErrorCode } from '../errors';
import type { Subject } from './subject';

/** Codes that any request may be answered with, whatever its route. */
export const ON_EVERY_ROUTE: readonly ErrorCode[] = [
    'BadRequestError',
    'InvalidVersion',
    'RequestTimeout',
    'RequestHeaderFieldsTooLarge',
    'InternalError',
];

/** A method of a path, with its rows. */
export interface Operation {
    /** Of the row that needs no action, if there is one; else of the one that does something, or of the general row. */
    readonly name: string;
    readonly method: Route['method'];
    readonly path: string;
    readonly rows: readonly [Route, ...Route[]];
    /** The rows that do something, as opposed to the one that refuses the actions nobody knows. */
    readonly acting: readonly [Route, ...Route[]];
}

export function operationsOf(routes: readonly Route[]): Operation[] {
    const groups = new Map<string, [Route, ...Route[]]>();
    for (const route of routes) {
        const key = `${route.method} ${route.path}`;
        const known = groups.get(key);
        if (known) {
            known.push(route);
        } else {
            groups.set(key, [route]);
        }
    }
    return [...groups.values()].map((rows) => {
        const [first] = rows;
        const [one, ...more] = rows.filter(({ actions }) => actions !== undefined);
        const acting = one ? ([one, ...more] as const) : rows;
        const main =
            acting.find(({ actions }) => actions?.includes('')) ??
            (more.length > 0 ? rows.find(({ actions }) => !actions) : one) ??
            first;
        return { name: main.name, method: main.method, path: main.path, rows, acting };
    });
}

/** Whether the row only refuses actions that the other rows of its method and path do not have. */
export function refuses({ name, method, path, actions }: Route, routes: readonly Route[]): boolean {
    return (
        actions === undefined &&
        routes.some((other) => other.name !== name && other.method === method && other.path === path)
    );
}

/** A parameter of an operation, with the rows that have it. */
export interface SharedParameter {
    readonly name: string;
    readonly variants: readonly { parameter: Parameter; rows: readonly Route[] }[];
}

/** The parameters of several rows by name; those that differ from row to row have several variants. */
export function sharedParameters(rows: readonly Route[]): SharedParameter[] {
    const byName = new Map<string, { parameter: Parameter; rows: Route[] }[]>();
    for (const row of rows) {
        for (const parameter of row.parameters) {
            const variants = byName.get(parameter.name) ?? [];
            byName.set(parameter.name, variants);
            const same = variants.find(
                (variant) => JSON.stringify(variant.parameter) === JSON.stringify(parameter),
            );
            if (same) {
                same.rows.push(row);
            } else {
                variants.push({ parameter, rows: [row] });
            }
        }
    }
    return [...byName].map(([name, variants]) => ({ name, variants }));
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

/** Whether the request's conditions may make it a 304: whatever has an ETag can be asked for again by it. */
export function mayBeUnchanged({ method, headers }: Route): boolean {
    return method === 'GET' && headers?.includes('Etag') === true;
}

/** Headers of an answer that leads to where the bytes are. */
export const REDIRECT_HEADERS: readonly AnswerHeader[] = [
    'Location',
    'Cache-Control',
    'Etag',
    'Last-Modified',
];

export function successStatus({ status, answers }: Route): number {
    return status ?? (answers === 'nothing' ? 204 : 200);
}

const AUTH_TEXT = {
    strict: 'A signed request',
    passive: 'None; a signature that is there is checked',
    none: 'None; an `Authorization` header is not looked at',
} as const satisfies Record<Route['auth'], string>;

/** Who may send the request. */
export function authText(route: Route, subject: Subject): string {
    const { auth, read, path } = route;
    const { server } = subject;
    if (server?.signatures === false) {
        return 'None: this server does not ask for signatures.';
    }
    const role = roleOf(route, subject);
    const signer = role === undefined ? AUTH_TEXT[auth] : `${AUTH_TEXT.strict}, ${byRole(role)}`;
    if (!read || auth === 'strict') {
        return `${signer}.`;
    }
    if (!server) {
        return `${signer}. With \`"auth.reads": "signed"\` a signed request.`;
    }
    return server.hidesUnpublished && path.includes(':uuid')
        ? 'For an active image none, for any other a signed request. A signature that is there is checked.'
        : `${signer}.`;
}

/** The least role that a request needs; undefined where users do not differ in it. */
export function roleOf({ auth, role }: Route, { server }: Subject): Role | undefined {
    return auth === 'strict' && server?.roles !== false && role !== 'read' ? role : undefined;
}

/** The parameter in words, with the role that it needs beyond that of its route. */
export function parameterText({ description, role }: Parameter, { server }: Subject): string {
    return role === undefined || server?.roles === false
        ? description
        : `${description} To be given ${byRole(role)}.`;
}

function byRole(least: Role): string {
    const enough = ROLES.slice(ROLES.indexOf(least)).map((role) => `\`${role}\``);
    return `by a user with the role ${enough.join(' or ')}`;
}

/** Where the route is to be found; undefined if everywhere, or if the pages are about a server that has it. */
export function existenceText({ modes, needsChannels }: Route, { server }: Subject): string | undefined {
    if (server || (!modes && !needsChannels)) {
        return undefined;
    }
    const conditions = [
        ...(modes ? [`in mode ${modes.map((mode) => `\`${mode}\``).join(' and ')}`] : []),
        ...(needsChannels ? ['with channels'] : []),
    ];
    return `Only ${conditions.join(', ')}.`;
}

/** Codes with the status they have in common, by status. */
export function byStatus(codes: Iterable<ErrorCode>): [status: number, codes: ErrorCode[]][] {
    const groups = new Map<number, ErrorCode[]>();
    for (const code of sorted(codes)) {
        const { status } = errorRow(code);
        groups.set(status, [...(groups.get(status) ?? []), code]);
    }
    return [...groups];
}
