/*
 * The workflow `create-from-vm` (vm-images.md §4.1): has the compute node of a machine make an image of it.
 *
 * It runs in the workflow service of the datacenter, on Node 6, and each task as text of its own: ES5, no globals but
 * those of the service (vm-images.md §7.1) and the functions in `helpers`, which are put into each task. A change of
 * what it does needs another `version`: servers of several versions may share one workflow service.
 *
 * A job is told `image_uuid`, `vm_uuid`, `compression`, `incremental`, `manifest`, `prepare_image_script`,
 * `max_origin_depth` and `req_id`.
 */
var requests = require('./requests.cjs');

function findServer(job, done) {
    askOften(
        job,
        {
            service: 'VMAPI',
            url: vmapiUrl,
            method: 'get',
            path: '/vms/' + job.params.vm_uuid,
            attempts: 3,
        },
        answered
    );

    function answered(err, vm) {
        if (err) {
            return done(err);
        }
        if (typeof vm.server_uuid !== 'string') {
            return done(
                failure('NoServer', 'VMAPI names no server that machine ' + job.params.vm_uuid + ' is on.')
            );
        }
        job.params.server_uuid = vm.server_uuid;
        done(null, 'The machine is on server ' + vm.server_uuid);
    }
}

function queueTask(job, done) {
    var params = job.params;
    var path = '/servers/' + params.server_uuid + '/vms/' + params.vm_uuid + '/images';
    var body = {
        jobid: job.uuid,
        compression: params.compression,
        imgapi_url: imgapiUrl,
        incremental: params.incremental,
        manifest: params.manifest,
        prepare_image_script: params.prepare_image_script,
        max_origin_depth: params.max_origin_depth,
    };
    ask(job, { service: 'CNAPI', url: cnapiUrl, method: 'post', path: path, body: body }, answered);

    function answered(err, task) {
        if (err) {
            return done(err);
        }
        if (typeof task.id !== 'string') {
            return done(failure('NoTask', 'CNAPI took the task, but did not say which one it is.'));
        }
        job.taskId = task.id;
        done(null, 'The server was told in task ' + task.id);
    }
}

/** Looks at the task of CNAPI every second until it has ended. */
function awaitTask(job, done) {
    /* CNAPI may be restarted while an image is being made. */
    var mostFailures = 60;
    var failures = 0;
    var timer;
    if (!job.taskId) {
        return done(failure('NoTask', 'The job does not know which task of CNAPI to wait for.'));
    }
    look();

    function look() {
        clearTimeout(timer);
        ask(job, { service: 'CNAPI', url: cnapiUrl, method: 'get', path: '/tasks/' + job.taskId }, answered);
    }

    function answered(err, task) {
        /* Somebody else has ended this task of the job. */
        if (job.timeToDie) {
            return;
        }
        if (err) {
            failures += 1;
            if (!mayPass(err) || failures === mostFailures) {
                return done(err);
            }
        } else {
            failures = 0;
            if (task.status === 'complete') {
                return done(null, 'The image was created');
            }
            if (task.status === 'failure') {
                return done(reasonOf(task));
            }
        }
        timer = setTimeout(look, 1000);
    }

    /** What the compute node says went wrong; it may be an error as JSON. */
    function reasonOf(task) {
        var message = 'The server could not create the image, and did not say why.';
        var details = [];
        (Array.isArray(task.history) ? task.history : []).forEach(function (entry) {
            var event = (entry && entry.event) || {};
            var error = event.error;
            if (entry && entry.name === 'error') {
                if (typeof error === 'string') {
                    message = error;
                    if (event.details && typeof event.details.error === 'string') {
                        message += ', ' + event.details.error;
                    }
                } else if (error && typeof error.message === 'string') {
                    message = error.message;
                }
            } else if (entry && entry.name === 'finish' && Array.isArray(event.log)) {
                event.log.forEach(function (line) {
                    if (line && line.level === 'error') {
                        details.push(String(line.message));
                    }
                });
            }
        });
        return fromText(details.length === 0 ? message : message + ': ' + details.join(', '));
    }
}

/** Tells the image why there will be nothing of it, unless there is something of it by now. */
function report(job, error, done) {
    var path = '/images/' + job.params.image_uuid;
    var hasChannels = Array.isArray(job.params.manifest && job.params.manifest.channels);
    var attempts = 10;
    look();

    function look() {
        var query = { channel: hasChannels ? '*' : undefined };
        askOften(job, { service: 'IMGAPI', url: imgapiUrl, method: 'get', path: path, query: query }, judge);
    }

    function judge(err, image, headers) {
        if (err && err.statusCode === 404) {
            return done(null, 'The image is gone');
        }
        if (err) {
            return done(err);
        }
        if (image.state !== 'creating' && image.state !== 'unactivated') {
            return done(null, 'The image is ' + image.state + ' and was left so');
        }
        askOften(
            job,
            {
                service: 'IMGAPI',
                url: imgapiUrl,
                method: 'post',
                path: path,
                query: { action: 'update', channel: (image.channels || [])[0] },
                /* Not one that was completed since. */
                ifMatch: headers && headers.etag,
                body: { state: 'failed', error: error },
            },
            reported
        );
    }

    function reported(err) {
        attempts -= 1;
        if (err && err.statusCode === 412 && attempts > 0) {
            return look();
        }
        if (err && err.statusCode === 404) {
            return done(null, 'The image is gone');
        }
        done(err, 'The image was told why it failed');
    }
}

function reportFailure(job, done) {
    /* Of all that failed, the first is the reason. */
    var failed = (job.chain_results || []).filter(function (result) {
        return result.error;
    })[0];
    report(
        job,
        failed ? shownError(failed) : { code: 'InternalError', message: 'The job failed without a reason.' },
        done
    );

    function shownError(result) {
        var error = result.error;
        if (error === 'workflow timeout' || error === 'task timeout error') {
            return {
                code: 'Timeout',
                message:
                    'The image was not created in time' + (result.name ? ' (' + result.name + ').' : '.'),
            };
        }
        error = fromText(typeof error === 'string' ? error : error.message, error);
        return { code: error.code, message: error.message, stack: error.stack };
    }
}

function reportCancel(job, done) {
    report(job, { code: 'JobCanceled', message: 'The job that was creating the image was canceled.' }, done);
}

/** A job that has failed must not end well because what had to be done about it went well. */
function fail(job, done) {
    done('The job failed');
}

module.exports = {
    name: 'create-from-vm',
    version: '8.0.0',
    /* Longer than all tasks together: their own timeouts tell more. */
    timeout: 4200,
    helpers: Object.assign({ report: report }, requests),
    chain: [
        {
            name: 'vmapi.get_vm_server',
            timeout: 60,
            retry: 1,
            modules: { restify: 'restify' },
            body: findServer,
        },
        {
            name: 'cnapi.queue_create_from_vm_task',
            timeout: 60,
            retry: 1,
            modules: { restify: 'restify' },
            body: queueTask,
        },
        {
            name: 'cnapi.poll_task',
            timeout: 3600,
            retry: 1,
            modules: { restify: 'restify' },
            body: awaitTask,
        },
    ],
    onerror: [
        {
            name: 'update_with_error',
            timeout: 300,
            retry: 1,
            modules: { restify: 'restify' },
            body: reportFailure,
        },
        { name: 'On error', timeout: 10, retry: 1, modules: {}, body: fail },
    ],
    oncancel: [
        {
            name: 'update_with_error',
            timeout: 300,
            retry: 1,
            modules: { restify: 'restify' },
            body: reportCancel,
        },
    ],
};
