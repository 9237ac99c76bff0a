# The Rack handler of the zoo, as wsgi.py.
run lambda { |env|
  env['rack.input'].read if env['REQUEST_METHOD'] == 'POST'
  body = "path=#{env['PATH_INFO']}\n"
  [200, { 'content-type' => 'text/plain', 'content-length' => body.bytesize.to_s }, [body]]
}
