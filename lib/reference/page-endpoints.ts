/** /docs/endpoints.html: every route of the server. */
import type { Route } from '../api/route';
import { describeEndpoint, type AnswerText, type Content, type Endpoint } from './endpoint';
import { curlExample } from './examples';
import { block, code, inline, link, markup, paragraph, prose, table, type Html, type Part } from './html';
import { page } from './layout';
import { byStatus, ON_EVERY_ROUTE } from './operations';
import { schemaLink } from './page-objects';
import { byResource, type Resource } from './resources';
import type { Subject } from './subject';

export function endpointsPage(subject: Subject): string {
    const groups = byResource(subject.routes);
    const entries = groups.map(({ resource, routes }) => ({
        id: resourceId(resource),
        title: resource.name,
        entries: routes.map(({ name }) => ({ id: name, title: name })),
    }));
    return page({ href: 'endpoints.html', title: 'Endpoints', entries }, [
        paragraph(
            prose(
                '`UUID` stands for a uuid. What is said of `GET` goes for `HEAD` as well. A path that exists but not for ' +
                    'the method is answered with 405 and an `Allow` header. Beside the errors that are listed with it, ' +
                    'any request may end with one of these:',
            ),
        ),
        errorTable(byStatus(ON_EVERY_ROUTE)),
        paragraph(
            'The examples are for a shell in which ',
            link('./#try', 'the overview'),
            ' has been followed and ',
            code('uuid'),
            ' is the uuid of an image.',
        ),
        groups.map(({ resource, routes }) => [
            markup`<h2 id="${resourceId(resource)}">${resource.name}</h2>\n`,
            paragraph(prose(resource.description)),
            routes.map((route) => section(route, subject)),
        ]),
    ]);
}

/** Names of routes are ids as well; these are in lower case. */
function resourceId({ name }: Resource): string {
    return name.toLowerCase();
}

function section(route: Route, subject: Subject): Html {
    const endpoint = describeEndpoint(route, subject);
    const { name, method, target, summary, description, answers, errors, parameters } = endpoint;
    return markup`<section id="${name}">
<h3>${link(`#${name}`, name)}</h3>
<p class="request"><span class="method ${method.toLowerCase()}">${method}</span> ${code(target)}</p>
${[
    paragraph(prose(summary)),
    description?.split('\n\n').map((text) => paragraph(prose(text))),
    facts(endpoint),
    parameters.length > 0 ? parameterTable(parameters) : undefined,
    answers.length > 0 ? answerTable(answers) : undefined,
    errors.length > 0 ? errorTable(errors) : undefined,
    answers.length > 0 ? block(curlExample(route, subject)) : undefined,
]}</section>
`;
}

function facts({ auth, existence, body }: Endpoint): Html {
    const items: [string, Part][] = [
        ['Authentication', prose(auth)],
        ...(existence === undefined ? [] : [['Existence', prose(existence)] satisfies [string, Part]]),
        ...(body ? [['Request body', content(body)] satisfies [string, Part]] : []),
    ];
    return markup`<dl>\n${items.map(([term, text]) => markup`<dt>${term}</dt><dd>${text}</dd>\n`)}</dl>\n`;
}

function content({ text, schema }: Content): Part {
    return schema ? [text, ': ', schemaLink(schema, 'objects.html'), '.'] : [prose(text), '.'];
}

function parameterTable(parameters: Endpoint['parameters']): Html {
    return table(
        'Parameters',
        ['Name', 'Value', 'Meaning'],
        parameters.map(({ name, type, required, description }) => ({
            cells: [
                [code(name), required ? markup` <span class="note">required</span>` : undefined],
                prose(type),
                prose(description),
            ],
        })),
    );
}

function answerTable(answers: readonly AnswerText[]): Html {
    return table(
        'Answers',
        ['Status', 'Body', 'Headers'],
        answers.map((answer) => ({
            cells: [answer.status, content(answer), inline(answer.headers.map(code))],
        })),
    );
}

function errorTable(errors: Endpoint['errors']): Html {
    return table(
        'Errors',
        ['Status', 'Codes'],
        errors.map(([status, codes]) => ({
            cells: [status, inline(codes.map((one) => link(`errors.html#${one}`, code(one))))],
        })),
    );
}
