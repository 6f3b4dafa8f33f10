/** docs/reference/endpoints.md, from the route table. */
import type { ErrorCode } from '../errors';
import { contentText, describeEndpoint, type Endpoint } from './endpoint';
import { byStatus, ON_EVERY_ROUTE } from './operations';
import type { Subject } from './subject';

export function endpointsMarkdown(subject: Subject): string {
    const endpoints = subject.routes.map((route) => describeEndpoint(route, subject));
    return [
        '# Endpoints',
        '',
        'Made from `lib/routes.ts` by `npm run gen`; do not edit. The same for programs: [openapi.json](openapi.json); a',
        'running server shows the same about itself at `/docs/`.',
        '',
        '`UUID` stands for the uuid of an image. What is said of `GET` goes for `HEAD` as well. A path that exists but',
        'not for the method is answered with 405 and an `Allow` header.',
        '',
        `Any request may end with ${errorList(byStatus(ON_EVERY_ROUTE))}.`,
        'What each code means: [errors.md](errors.md).',
        '',
        '| endpoint | request | |',
        '|---|---|---|',
        ...endpoints.map(
            (endpoint) =>
                `| [${endpoint.name}](#${endpoint.name.toLowerCase()}) | \`${endpoint.method} ${endpoint.target}\` | ${endpoint.summary} |`,
        ),
        ...endpoints.flatMap(section),
        '',
    ].join('\n');
}

function section(endpoint: Endpoint): string[] {
    const { name, method, target, summary, description, auth, existence, body } = endpoint;
    const { parameters, answers, errors } = endpoint;
    return [
        '',
        `## ${name}`,
        '',
        `\`${method} ${target}\``,
        '',
        summary,
        ...(description === undefined ? [] : ['', description]),
        '',
        `- Authentication: ${auth}`,
        ...(existence === undefined ? [] : [`- ${existence}`]),
        ...(body ? [`- Request body: ${contentText(body)}`] : []),
        ...answers.map((answer) => `- ${answer.status}: ${contentText(answer)}${headerList(answer.headers)}`),
        ...(parameters.length > 0
            ? [
                  '',
                  '| parameter | type | |',
                  '|---|---|---|',
                  ...parameters.map(
                      (one) =>
                          `| \`${one.name}\` | ${one.type} | ${one.required ? 'Required. ' : ''}${one.description} |`,
                  ),
              ]
            : []),
        ...(errors.length > 0 ? ['', `Errors: ${errorList(errors)}.`] : []),
    ];
}

function headerList(headers: readonly string[]): string {
    return headers.length > 0 ? ` With ${headers.map((header) => `\`${header}\``).join(', ')}.` : '';
}

function errorList(errors: Endpoint['errors']): string {
    const codes = (same: readonly ErrorCode[]) => same.map((code) => `\`${code}\``).join(', ');
    return errors.map(([status, same]) => `${status} ${codes(same)}`).join('; ');
}
