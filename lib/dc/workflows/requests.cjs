/*
 * Functions that are put into each task of the workflows beside this file: requests to the services of the datacenter.
 * ES5, with no globals but those of vm-images.md §7.1 and the module restify.
 */

/** An error as the results of a job show it. */
function failure(code, message, statusCode) {
    /* The workflow service leaves errors with a status as they are; of others it keeps the message only. */
    return { code: code, message: cut(message), statusCode: statusCode || 422 };
}

/** A text of at most 20,000 characters: of a longer one the beginning and the end, which tell the most. */
function cut(text) {
    var longest = 20000;
    var marker = '\n\n[... of ' + text.length + ' characters, some are left out here ...]\n\n';
    var half = Math.floor((longest - marker.length) / 2);
    return text.length <= longest ? text : text.slice(0, half) + marker + text.slice(text.length - half);
}

/** An error from a text, which may be one as JSON, with what else is known of it. */
function fromText(given, known) {
    var text = typeof given === 'string' ? given : String(given);
    var parsed;
    var error;
    if (text.charAt(0) === '{') {
        try {
            parsed = JSON.parse(text);
        } catch (err) {
            /* A text that begins as JSON does. */
        }
    }
    if (parsed && typeof parsed.message === 'string') {
        error = failure(typeof parsed.code === 'string' ? parsed.code : 'InternalError', parsed.message);
        error.stack = typeof parsed.stack === 'string' ? cut(parsed.stack) : undefined;
        return error;
    }
    return failure((known && (known.code || known.restCode)) || 'InternalError', text);
}

/** Whether another try may have more success. */
function mayPass(err) {
    return err.statusCode >= 500 || err.statusCode === 429 || err.code === 'Download';
}

/**
 * Sends a request: `service` as messages name it, `url`, `method`, `path`, `query`, `body`, `ifMatch`. Gives an error, or
 * the answer's JSON and headers.
 */
function ask(job, request, done) {
    /* Of questions, in ms: a service that has taken one and never answers may do so when it is asked again. */
    var mostTime = 30000;
    var timer;
    var parts = /^(https?:\/\/[^/]+)(.*)$/.exec(request.url || '');
    var query = Object.keys(request.query || {})
        .filter(function (name) {
            return request.query[name] !== undefined;
        })
        .map(function (name) {
            return name + '=' + encodeURIComponent(request.query[name]);
        })
        .join('&');
    var headers = { 'x-request-id': job.params.req_id, 'request-id': job.params.req_id };
    var options;
    var client;
    if (!parts) {
        return done(
            failure('NoService', 'The workflow service was not told the URL of ' + request.service + '.')
        );
    }
    if (request.ifMatch) {
        headers['if-match'] = request.ifMatch;
    }
    client = restify.createJsonClient({
        url: parts[1],
        version: '*',
        agent: false,
        connectTimeout: 15000,
        retry: false,
    });
    options = {
        path: parts[2].replace(/\/+$/, '') + request.path + (query ? '?' + query : ''),
        headers: headers,
        retry: false,
    };
    if (request.method === 'get') {
        timer = setTimeout(
            end,
            mostTime,
            failure('Timeout', request.service + ' did not answer in time.', 503)
        );
    }
    if (request.method === 'get' || request.method === 'del') {
        client[request.method](options, answered);
    } else {
        client[request.method](options, request.body || {}, answered);
    }

    function answered(err, _req, res, body) {
        var code;
        client.close();
        if (!err) {
            return end(null, body || {}, res.headers);
        }
        code = (err.body && err.body.code) || err.restCode || err.code || 'InternalError';
        if (!res) {
            /* Images show it to their owners: no word of where the service is. */
            return end(failure(code, request.service + ' could not be asked (' + code + ').', 503));
        }
        end(
            failure(
                code,
                request.service + ': ' + ((err.body && err.body.message) || err.message || String(err)),
                res.statusCode
            )
        );
    }

    function end(err, body, headers) {
        var tell = done;
        clearTimeout(timer);
        /* What comes after the time was up is not heard. */
        done = function () {};
        tell(err, body, headers);
    }
}

/**
 * Sends a request, and while that may help sends it again, a second later: `attempts` times in all, or else for two
 * minutes, in which a service may be restarted.
 */
function askOften(job, request, done) {
    var attempts = request.attempts || 120;
    ask(job, request, answered);

    function answered(err, body, headers) {
        attempts -= 1;
        if (err && mayPass(err) && attempts > 0) {
            setTimeout(function () {
                ask(job, request, answered);
            }, 1000);
            return;
        }
        done(err, body, headers);
    }
}

module.exports = {
    failure: failure,
    cut: cut,
    fromText: fromText,
    mayPass: mayPass,
    ask: ask,
    askOften: askOften,
};
