/** One row of the route table, put into the words that all pages show. */
import type { Route, Schema, SchemaValue } from '../api/route';
import type { ErrorCode } from '../errors';
import {
    actionOf,
    authText,
    byStatus,
    errorsOf,
    existenceText,
    mayBeUnchanged,
    parameterText,
    REDIRECT_HEADERS,
    refuses,
    successStatus,
    takesRanges,
} from './operations';
import { answerSchema, bodySchema } from './contents';
import { referredName } from './schemas';
import type { Subject } from './subject';

export interface Endpoint {
    readonly name: string;
    readonly method: Route['method'];
    /** Path and action, with `UUID` for uuids. */
    readonly target: string;
    readonly summary: string;
    readonly description: string | undefined;
    readonly auth: string;
    /** Where it is to be found, if not on every server. */
    readonly existence: string | undefined;
    readonly body: Content | undefined;
    readonly parameters: readonly ParameterText[];
    readonly answers: readonly AnswerText[];
    readonly errors: readonly [status: number, codes: readonly ErrorCode[]][];
}

export interface ParameterText {
    readonly name: string;
    readonly type: string;
    readonly required: boolean;
    readonly description: string;
}

/** What a request or an answer holds. */
export interface Content {
    /** In words, without a full stop. */
    readonly text: string;
    /** Of JSON that is looked at. */
    readonly schema: Schema | undefined;
}

export interface AnswerText extends Content {
    readonly status: number;
    readonly headers: readonly string[];
}

/** Parts of paths, as the pages write them. */
export function shownPath(path: string): string {
    return path.replace(/:(\w+)/g, (_, name: string) => name.toUpperCase());
}

export function describeEndpoint(route: Route, subject: Subject): Endpoint {
    const general = refuses(route, subject.routes);
    const action = actionOf(route);
    const query = action ? `?action=${action}` : general ? '?action=…' : '';
    return {
        name: route.name,
        method: route.method,
        target: shownPath(route.path) + query,
        summary: route.summary,
        description: route.description,
        auth: authText(route, subject),
        existence: existenceText(route, subject),
        body: bodyText(route),
        parameters: route.parameters
            // The action stands in the target, unless it may be left out or be anything.
            .filter(({ name }) => name !== 'action' || route.actions === undefined)
            .map((parameter) => ({
                name: parameter.name,
                type: typeText(parameter.schema ?? { type: 'string' }),
                required: parameter.required === true,
                description: parameterText(parameter, subject),
            })),
        answers: general ? [] : answerTexts(route),
        errors: byStatus(errorsOf(route)),
    };
}

function bodyText({ name, body, bodyTypes }: Route): Content | undefined {
    if (body === undefined) {
        return undefined;
    }
    if (body === 'bytes') {
        return { text: `The bytes themselves${asTypes(bodyTypes)}`, schema: undefined };
    }
    const schema = bodySchema(name);
    return { text: schema ? 'JSON' : 'None is needed; JSON is read, but not used', schema };
}

function asTypes(types: readonly string[] | undefined): string {
    return types ? `, as ${types.map((type) => `\`${type}\``).join(', ')}` : '';
}

function answerTexts(route: Route): AnswerText[] {
    const headers = route.headers ?? [];
    const answers: AnswerText[] = [{ status: successStatus(route), ...answerContent(route), headers }];
    if (takesRanges(route)) {
        answers.push({
            status: 206,
            text: 'The part that `Range` asks for',
            schema: undefined,
            headers: [...headers.filter((name) => name !== 'Content-MD5'), 'Content-Range'],
        });
    }
    if (route.redirects) {
        const text = 'Nothing: with `redirect=1`, the `Location` is where the object store gives the bytes';
        answers.push({ status: 302, text, schema: undefined, headers: REDIRECT_HEADERS });
    }
    if (mayBeUnchanged(route)) {
        const text = 'Nothing: the client has it already, by its `If-None-Match` or `If-Modified-Since`';
        answers.push({ status: 304, text, schema: undefined, headers: [] });
    }
    return answers;
}

function answerContent({ name, answers, contentTypes }: Route): Content {
    switch (answers) {
        case 'json':
            return { text: 'JSON', schema: answerSchema(name) };
        case 'bytes':
            return { text: `The bytes${asTypes(contentTypes)}`, schema: undefined };
        case 'nothing':
            return { text: 'Nothing', schema: undefined };
    }
}

/** What a request or an answer holds, in one sentence. */
export function contentText({ text, schema }: Content): string {
    return schema ? `${text}: ${typeText(schema)}.` : `${text}.`;
}

export function isSchema(value: unknown): value is Schema {
    return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** What a schema allows, in a few words. */
export function typeText(schema: Schema): string {
    const { type, anyOf, items, enum: values, const: constant, format, additionalProperties } = schema;
    const referred = referredName(schema);
    if (referred !== undefined) {
        return `\`${referred}\``;
    }
    if (constant !== undefined) {
        return `\`${JSON.stringify(constant)}\``;
    }
    if (Array.isArray(values)) {
        return values
            .filter((value) => value !== null)
            .map((value) => `\`${String(value)}\``)
            .join(', ');
    }
    if (Array.isArray(anyOf)) {
        return anyOf.filter(isSchema).map(typeText).join(' or ');
    }
    if (isSchema(items)) {
        return `list of ${typeText(items)}`;
    }
    if (isSchema(additionalProperties)) {
        return typeText(additionalProperties);
    }
    if (format === 'uuid' || format === 'date-time') {
        return format === 'uuid' ? 'uuid' : 'date';
    }
    const name = Array.isArray(type) ? (type as SchemaValue[]).find((one) => one !== 'null') : type;
    return typeof name === 'string' ? (TYPE_NAMES[name] ?? name) : 'any value';
}

const TYPE_NAMES: Readonly<Record<string, string>> = {
    string: 'text',
    integer: 'whole number',
    boolean: '`true`, `false`',
};
