# ruby webrick.rb PORT LIMIT: the handler of the zoo for WEBrick.
require 'webrick'
quiet = WEBrick::Log.new(nil, 0)
server = WEBrick::HTTPServer.new(BindAddress: '127.0.0.1', Port: ARGV[0].to_i, RequestTimeout: ARGV[1].to_i, Logger: quiet, AccessLog: [])
server.mount_proc('/') do |request, answer|
  request.body if request.request_method == 'POST'
  answer['Content-Type'] = 'text/plain'
  answer.body = "path=#{request.path}\n"
end
%w[TERM INT].each { |sign| trap(sign) { server.shutdown } }
server.start
