/** Every row of the route table against requests that are wrong in one way each: what is answered follows from the row. */
import assert from 'node:assert/strict';
import type { Route } from '../../lib/api/route';
import { authenticate, imageUuid, loadImage, ownedByAccount, readBody } from '../../lib/api/steps';
import { errorRow, type ErrorCode } from '../../lib/errors';
import { routes } from '../../lib/routes';
import {
    assertError,
    md5,
    OTHER,
    UNKNOWN,
    type Answer,
    type Manifest,
    type RequestHeaders,
} from '../support/api';
import { CHANNELS } from '../support/channels';
import { DATACENTER, GENERAL_CODES, Registry } from '../support/registry';
import { routesOf } from '../support/routes';

/** The values of a request that is right, but for what a test changes. */
interface Request {
    uuid?: string;
    query?: string;
    headers?: RequestHeaders;
    body?: string;
    signed?: boolean;
}

describe('Every route', () => {
    let registry: Registry;
    /** With the same images, for the routes that a public server does not have. */
    let datacenter: Registry;
    const isPublic = new Set(routesOf().map(({ name }) => name));
    let image: Manifest;
    /** An image that OTHER may not see. */
    let hidden: Manifest;

    before(async () => {
        // With channels, as some rows need them; the others must not mind.
        registry = await Registry.start({ channels: CHANNELS });
        image = await registry.client.createActive();
        hidden = await registry.client.create();
        datacenter = await Registry.start({ ...DATACENTER, channels: CHANNELS });
        for (const { uuid } of [image, hidden]) {
            await datacenter.plant((await registry.record(uuid))!);
        }
    });
    after(async () => {
        await registry.stop();
        await datacenter.stop();
    });

    /** Sends the request to a row. No right request is sent to a row that changes something. */
    async function ask(
        row: Route,
        { uuid, query = '', headers, body, signed = true }: Request,
    ): Promise<Answer> {
        const action = row.actions ? row.actions[0] : 'no-such-action';
        const hasAction = row.parameters.some(({ name }) => name === 'action') && action !== '';
        const search = [hasAction ? `action=${String(action)}` : '', query]
            .filter((part) => part !== '')
            .join('&');
        const path = row.path.replace(':uuid', uuid ?? image.uuid);
        const server = isPublic.has(row.name) ? registry : datacenter;
        const client = signed ? server.client : server.anonymous;
        return client.request(row.method, `${path}${search === '' ? '' : `?${search}`}`, {
            headers: { ...(row.body === 'json' && { 'content-type': 'application/json' }), ...headers },
            body: body ?? (row.body === undefined ? undefined : '{}'),
        });
    }

    /** The answer is this error, and the row says that it may be. */
    function assertListed(row: Route, answer: Answer, code: ErrorCode, ...fields: string[]): void {
        assertError(answer, errorRow(code).status, code, ...fields);
        assert.ok(
            row.errors.includes(code) || GENERAL_CODES.includes(code),
            `${row.name} does not list ${code}`,
        );
    }

    /** The request was taken for a good one, though there may be nothing to answer it with. */
    function assertPassed(row: Route, { status, text }: Answer): void {
        const isJobList = row.name === 'ListImageJobs' && status === 503;
        assert.ok(status === (row.status ?? 200) || status === 404 || isJobList, text);
    }

    /** What a request meets when a step is the first that refuses it: the steps before it have to pass. */
    const has = (row: Route, step: Route['steps'][number]) => row.steps.includes(step);
    const comesFirst = (row: Route, one: Route['steps'][number], other: Route['steps'][number]) =>
        !has(row, other) || row.steps.indexOf(one) < row.steps.indexOf(other);

    for (const row of routes) {
        describe(`${row.name} (${row.method} ${row.path}${row.actions ? ` ${row.actions.join('|')}` : ''})`, () => {
            it(`authenticates as its class (${row.auth}) says`, () => {
                const mayAsk = row.auth !== 'none' || row.read === true;
                assert.equal(has(row, authenticate), mayAsk);
                assert.equal(row.errors.includes('UnauthorizedError'), mayAsk);
                assert.equal(row.errors.includes('NotAuthorized'), row.auth === 'strict');
                assert.equal(row.path.includes(':uuid'), has(row, imageUuid));
            });

            it('without a signature', async () => {
                if (row.auth === 'strict') {
                    for (const request of [
                        {},
                        { uuid: 'x' },
                        { uuid: UNKNOWN },
                        { body: '{' },
                        { query: 'account=x' },
                    ]) {
                        assertListed(row, await ask(row, { ...request, signed: false }), 'UnauthorizedError');
                    }
                } else {
                    assertPassed(row, await ask(row, { signed: false }));
                }
            });

            it('with a wrong signature', async () => {
                const request = { signed: false, headers: { authorization: 'Signature keyId="x"' } };
                const answer = await ask(row, request);
                if (row.auth === 'none') {
                    assertPassed(row, answer);
                } else {
                    assertListed(row, answer, 'UnauthorizedError');
                }
                if (has(row, imageUuid) && row.auth !== 'none') {
                    const first = comesFirst(row, authenticate, imageUuid)
                        ? 'UnauthorizedError'
                        : 'ResourceNotFound';
                    assertListed(row, await ask(row, { ...request, uuid: 'x' }), first);
                }
            });

            it('with a version or an Accept that it does not speak', async () => {
                assertListed(row, await ask(row, { headers: { 'accept-version': '~99' } }), 'InvalidVersion');
                if (row.answers === 'json') {
                    const answer = await ask(row, { headers: { accept: 'text/html' } });
                    assert.equal(answer.status, 406);
                    assert.equal(answer.body.length, 0);
                }
            });

            if (has(row, imageUuid)) {
                it('with a uuid that is none', async () => {
                    for (const uuid of ['x', UNKNOWN.replace('0', 'A'), '%25', '..%2f..']) {
                        assertListed(row, await ask(row, { uuid, body: '{' }), 'ResourceNotFound');
                    }
                });
            }

            if (has(row, loadImage)) {
                it('with an unknown image', async () => {
                    assertListed(row, await ask(row, { uuid: UNKNOWN }), 'ResourceNotFound');
                });

                it('for an account that is no uuid, that may not see the image, or does not own it', async () => {
                    const wrong = await ask(row, { uuid: UNKNOWN, query: 'account=x' });
                    assertListed(row, wrong, 'InvalidParameter', 'account:Invalid');
                    const unseen = await ask(row, { uuid: hidden.uuid, query: `account=${OTHER}` });
                    assertListed(row, unseen, 'ResourceNotFound');
                    if (has(row, ownedByAccount)) {
                        assertListed(row, await ask(row, { query: `account=${OTHER}` }), 'NotImageOwner');
                    }
                });
            }

            if (has(row, readBody)) {
                it('with a body that is no JSON, of another digest, of another encoding, or too large', async () => {
                    // Where the image comes first, it has to be there for the body to be looked at.
                    const uuid = comesFirst(row, readBody, loadImage) ? UNKNOWN : image.uuid;
                    assertListed(row, await ask(row, { uuid, body: '{' }), 'InvalidContent');
                    assertListed(
                        row,
                        await ask(row, { uuid, headers: { 'content-md5': md5('x') } }),
                        'BadDigest',
                    );
                    assertListed(
                        row,
                        await ask(row, { uuid, headers: { 'content-encoding': 'br' } }),
                        'UnsupportedMediaType',
                    );
                    const large = ' '.repeat(1 << 20) + '{}';
                    assertListed(row, await ask(row, { uuid, body: large }), 'RequestEntityTooLarge');
                });
            } else {
                it('does not look at a body it has no use for', async () => {
                    const answer = await ask(row, {
                        uuid: UNKNOWN,
                        body: '{',
                        headers: { 'content-md5': 'x' },
                    });
                    const code = answer.status < 400 ? undefined : answer.error.code;
                    assert.ok(code !== 'InvalidContent' && code !== 'BadDigest', code);
                    assert.ok(
                        code === undefined || row.errors.includes(code as ErrorCode),
                        `${row.name}: ${code}`,
                    );
                });
            }
        });
    }

    it('that takes the rest of the actions is told apart by its name', () => {
        assert.equal(new Set(routes.map(({ name }) => name)).size, routes.length);
    });

    it('lists only errors that there are, each once', () => {
        for (const { name, errors } of routes) {
            assert.equal(new Set(errors).size, errors.length, name);
        }
    });
});
