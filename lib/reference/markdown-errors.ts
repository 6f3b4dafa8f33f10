/** docs/reference/errors.md, from the error table. */
import { errorRow, errorTable, type ErrorCode } from '../errors';
import { routes } from '../routes';
import { STATUS_CODES } from 'node:http';
import { errorsOf, ON_EVERY_ROUTE } from './operations';

/** More endpoints than this are not named one by one. */
const MOST_NAMED = 8;

export function errorsPage(): string {
    const codes = (Object.keys(errorTable) as ErrorCode[]).sort();
    const statuses = [...new Set(codes.map((code) => errorRow(code).status))].sort((a, b) => a - b);
    return [
        '# Errors',
        '',
        'Made from `lib/errors.ts` and `lib/routes.ts` by `npm run gen`; do not edit.',
        '',
        'An error is answered as JSON:',
        '',
        '```json',
        JSON.stringify(
            {
                code: 'InvalidParameter',
                message: 'Parameter "limit" is "many"; it takes a whole number.',
                errors: [{ field: 'limit', code: 'Invalid' }],
            },
            null,
            2,
        ),
        '```',
        '',
        '`code` is one of those below and stays the same; `message` is for people and may change. `errors` is there with',
        '`ValidationFailed` and `InvalidParameter` and names each field. `GET /ping?error=CODE` answers with a sample of',
        'those marked *sample*, so that a client can be tried against it.',
        ...statuses.flatMap((status) => [
            '',
            `## ${status} ${STATUS_CODES[status] ?? ''}`.trimEnd(),
            '',
            '| code | meaning | where |',
            '|---|---|---|',
            ...codes.filter((code) => errorRow(code).status === status).map(row),
        ]),
        '',
    ].join('\n');
}

function row(code: ErrorCode): string {
    const { description, sample } = errorRow(code);
    return `| \`${code}\` | ${description}${sample ? ' *sample*' : ''} | ${where(code)} |`;
}

function where(code: ErrorCode): string {
    if (code === 'MethodNotAllowedError') {
        return 'every path';
    }
    if (ON_EVERY_ROUTE.includes(code)) {
        return 'everywhere';
    }
    const names = routes.filter((route) => errorsOf(route).includes(code)).map(({ name }) => name);
    if (names.length > MOST_NAMED) {
        return `${names.length} of ${routes.length} endpoints`;
    }
    return names.length > 0
        ? names.map((name) => `[${name}](endpoints.md#${name.toLowerCase()})`).join(', ')
        : 'nowhere in this version';
}
