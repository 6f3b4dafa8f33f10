/** Holds the answers that tests get to what the reference says of their routes. */
import assert from 'node:assert/strict';
import Ajv2020, { type ValidateFunction } from 'ajv/dist/2020';
import type { AnswerHeader, Route, Schema } from '../../lib/api/route';
import { answerSchema } from '../../lib/reference/contents';
import { ANSWER_HEADERS } from '../../lib/reference/headers';
import {
    mayBeUnchanged,
    REDIRECT_HEADERS,
    refuses,
    successStatus,
    takesRanges,
} from '../../lib/reference/operations';
import { schemas } from '../../lib/reference/schemas';
import { routes } from '../../lib/routes';
import { onMoray } from './test-database';

const ajv = new Ajv2020({ keywords: ['components'], strictTypes: false, validateFormats: false });
ajv.addSchema({ $id: 'reference', components: { schemas } });
const validators = new Map<string, ValidateFunction>();

function validatorOf(schema: Schema): ValidateFunction {
    const text = JSON.stringify(schema).replaceAll('"#/', '"reference#/');
    const known = validators.get(text) ?? ajv.compile(JSON.parse(text) as object);
    validators.set(text, known);
    return known;
}

const patterns = routes.map((route) => ({
    route,
    pattern: new RegExp(`^${route.path.replaceAll('.', '\\.').replace(/:\w+/g, '[^/]+')}$`),
}));

/** The row that takes a request; undefined if there is none. */
function routeOf(method: string, target: string): Route | undefined {
    const [path = '', search = ''] = target.split('?');
    const plain = path.replace(/\/{2,}/g, '/');
    const rows = patterns
        .filter(({ pattern }) => pattern.test(plain))
        .map(({ route }) => route)
        .filter((route) => route.method === (method === 'HEAD' ? 'GET' : method));
    const action = new URLSearchParams(search).get('action') ?? '';
    return rows.find(({ actions }) => actions?.includes(action)) ?? rows.find(({ actions }) => !actions);
}

/** Headers that a record may lack what they are made of for: old ones know neither hash nor date. */
const OPTIONAL = new Set<string>(['Content-MD5', 'Last-Modified'] satisfies AnswerHeader[]);

/** Bodies above this are not looked at, in bytes. */
const LARGE = 1 << 20;

interface ReceivedAnswer {
    readonly status: number;
    readonly headers: NodeJS.Dict<string | string[]>;
    readonly body: Buffer;
}

/** An answer that is no error has a status, headers and JSON of which the reference tells. @throws AssertionError */
export function assertDocumented(method: string, target: string, answer: ReceivedAnswer): void {
    const route = routeOf(method, target);
    if (!route || answer.status >= 400) {
        // Which errors a route may answer with, the audit records show: see assertTableHonest.
        return;
    }
    const place = `${method} ${target} (${route.name})`;
    const { status, headers, body } = answer;
    assert.ok(!refuses(route, routes), `${place} is said to be refused`);
    const allowed = [
        successStatus(route),
        ...(takesRanges(route) ? [206] : []),
        ...(route.redirects ? [302] : []),
        ...(mayBeUnchanged(route) ? [304] : []),
    ];
    assert.ok(allowed.includes(status), `${place}: no status ${status} in the reference`);
    if (status === 304) {
        return;
    }
    for (const name of Object.keys(ANSWER_HEADERS)) {
        const has = headers[name.toLowerCase()] !== undefined;
        const part = status === 206;
        const told = status === 302 ? REDIRECT_HEADERS : (route.headers ?? []);
        const said =
            name === 'Content-Range'
                ? part
                : told.includes(name as AnswerHeader) && !(part && name === 'Content-MD5');
        assert.ok(!has || said, `${place}: no header ${name} in the reference`);
        // A long list has none there.
        const mayLack = OPTIONAL.has(name) || (onMoray && route.name === 'ListImages' && name === 'Etag');
        assert.ok(has || !said || mayLack, `${place}: the reference has the header ${name}`);
    }
    if (status === 302) {
        assert.equal(body.length, 0, `${place}: the answer has a body`);
        return;
    }
    const type = String(headers['content-type']).replace(/;.*/, '');
    if (route.answers === 'json' && method !== 'HEAD' && type === 'application/json' && body.length < LARGE) {
        const valid = validatorOf(answerSchema(route.name));
        assert.ok(
            valid(JSON.parse(body.toString())),
            `${place}: not what the reference says: ${JSON.stringify(valid.errors)}`,
        );
    } else if (route.answers === 'bytes') {
        assert.ok(route.contentTypes?.includes(type), `${place}: no type ${type} in the reference`);
    } else if (route.answers === 'nothing') {
        assert.equal(body.length, 0, `${place}: the answer has a body`);
    }
}
