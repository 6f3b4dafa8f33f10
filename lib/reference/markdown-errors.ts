/** docs/reference/errors.md, from the error table. */
import { describeErrors, type ErrorStatus, type Where } from './error-list';
import type { Subject } from './subject';

/** An error as clients see it. */
export const ERROR_EXAMPLE = {
    code: 'InvalidParameter',
    message: 'Parameter "limit" is "-1"; it takes 0 or more, in whole numbers.',
    errors: [{ field: 'limit', code: 'Invalid' }],
};

export function errorsMarkdown(subject: Subject): string {
    return [
        '# Errors',
        '',
        'Made from `lib/errors.ts` and `lib/routes.ts` by `npm run gen`; do not edit.',
        '',
        'An error is answered as JSON:',
        '',
        '```json',
        JSON.stringify(ERROR_EXAMPLE, null, 2),
        '```',
        '',
        '`code` is one of those below and stays the same; `message` is for people and may change. `errors` is there with',
        '`ValidationFailed` and `InvalidParameter` and names each field. `GET /ping?error=CODE` answers with a sample of',
        'those marked *sample*, so that a client can be tried against it.',
        ...describeErrors(subject).flatMap(section),
        '',
    ].join('\n');
}

function section({ status, reason, errors }: ErrorStatus): string[] {
    return [
        '',
        `## ${status} ${reason}`.trimEnd(),
        '',
        '| code | meaning | where |',
        '|---|---|---|',
        ...errors.map(
            ({ code, description, sample, where }) =>
                `| \`${code}\` | ${description}${sample ? ' *sample*' : ''} | ${whereText(where)} |`,
        ),
    ];
}

function whereText(where: Where): string {
    return 'text' in where
        ? where.text
        : where.names.map((name) => `[${name}](endpoints.md#${name.toLowerCase()})`).join(', ');
}
