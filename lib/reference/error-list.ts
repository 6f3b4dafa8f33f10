/** The error table, with where each code is met, as the pages show it. */
import { STATUS_CODES } from 'node:http';
import { errorRow, errorTable, type ErrorCode } from '../errors';
import { errorsOf, ON_EVERY_ROUTE } from './operations';
import type { Subject } from './subject';

/** More endpoints than this are not named one by one. */
const MOST_NAMED = 8;

export interface ErrorStatus {
    readonly status: number;
    readonly reason: string;
    readonly errors: readonly {
        readonly code: ErrorCode;
        readonly description: string;
        /** `GET /ping?error=CODE` gives one. */
        readonly sample: boolean;
        readonly where: Where;
    }[];
}

/** The endpoints that can answer with a code: in words, or by their names. */
export type Where = { text: string } | { names: readonly string[] };

export function describeErrors(subject: Subject): ErrorStatus[] {
    const codes = (Object.keys(errorTable) as ErrorCode[]).sort();
    const statuses = [...new Set(codes.map((code) => errorRow(code).status))].sort((a, b) => a - b);
    return statuses.map((status) => ({
        status,
        reason: STATUS_CODES[status] ?? '',
        errors: codes
            .filter((code) => errorRow(code).status === status)
            .map((code) => {
                const { description, sample } = errorRow(code);
                return { code, description, sample: sample !== undefined, where: whereFound(code, subject) };
            }),
    }));
}

function whereFound(code: ErrorCode, { routes, server }: Subject): Where {
    if (code === 'MethodNotAllowedError') {
        return { text: 'every path' };
    }
    if (ON_EVERY_ROUTE.includes(code)) {
        return { text: 'everywhere' };
    }
    const names = routes.filter((route) => errorsOf(route).includes(code)).map(({ name }) => name);
    if (names.length === 0) {
        return { text: server ? 'not on this server' : 'nowhere in this version' };
    }
    return names.length > MOST_NAMED ? { text: `${names.length} of ${routes.length} endpoints` } : { names };
}
