/** /docs/errors.html: every code of the error table. */
import { describeErrors, type ErrorStatus, type Where } from './error-list';
import { block, code, inline, link, markup, paragraph, prose, table, type Part } from './html';
import { page } from './layout';
import { ERROR_EXAMPLE } from './markdown-errors';
import type { Subject } from './subject';

export function errorsPage(subject: Subject): string {
    const statuses = describeErrors(subject);
    const entries = statuses.map(({ status, reason }) => ({
        id: `status-${status}`,
        title: `${status} ${reason}`,
    }));
    return page({ href: 'errors.html', title: 'Errors', entries }, [
        paragraph('An error is answered as JSON, an ', link('objects.html#Error', 'Error'), ':'),
        block(JSON.stringify(ERROR_EXAMPLE, null, 2)),
        paragraph(
            prose(
                '`code` is one of those below and stays the same; `message` is for people and may change. `errors` is ' +
                    'there with `ValidationFailed` and `InvalidParameter` and names each field. `GET /ping?error=CODE` ' +
                    'answers with a sample of those marked “sample”, so that a client can be tried against it.',
            ),
        ),
        statuses.map(section),
    ]);
}

function section({ status, reason, errors }: ErrorStatus): Part {
    return [
        markup`<h2 id="status-${status}">${status} ${reason}</h2>\n`,
        table(
            `Codes with status ${status}`,
            ['Code', 'Meaning', 'Where'],
            errors.map(({ code: name, description, sample, where }) => ({
                id: name,
                cells: [
                    [code(name), sample ? markup` <span class="note">sample</span>` : undefined],
                    prose(description),
                    places(where),
                ],
            })),
        ),
    ];
}

function places(where: Where): Part {
    return 'text' in where
        ? where.text
        : inline(where.names.map((name) => link(`endpoints.html#${name}`, name)));
}
